export { testEndedCall } from './ended-call.ts';
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
export { type TestPeer, testPeer, testPrincipal } from './peer.ts';
export { type ScriptedAttempt, type ScriptedTransport, scriptedTransport } from './transport.ts';
export { testClusterPolicy, testOutlier, testService, testSpec, testWorkload } from './cluster.ts';
export { receiveCall, testJwtRule, testModel, type TestProgram, testProgram, type TestTokens, testTokens, toProgram } from './inbound.ts';
export { testSettings } from './settings.ts';
