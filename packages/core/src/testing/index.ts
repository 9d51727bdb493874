export { type FakeClock, fakeClock } from './clock.ts';
export {
  type TestCall,
  type TestEndpoint,
  type TestExchange,
  testCall,
  testEndpoint,
  testExchange,
  testLocality,
  testRuntime,
  testState,
} from './exchange.ts';
export { seededRandom } from './random.ts';
