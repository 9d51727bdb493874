import type { Locality } from '@inmesh/policy';
import { type Call, NO_EDITS } from '../call.ts';
import type { Exchange } from '../exchange.ts';
import type { Clock } from '../clock.ts';
import { Deadlines } from '../deadlines.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import { loadHash } from '../hash.ts';
import { LeaseBook } from '../lease.ts';
import { Life } from '../life.ts';
import { silentObserver } from '../observer.ts';
import { fakeClock } from './clock.ts';
import { seededRandom } from './random.ts';

const hash = await loadHash();

/** Fields of a Call, or the URL they are read from; the rest is a replayable `GET http://reviews/`. */
export interface TestCall extends Partial<Omit<Call, 'header' | 'headerValues'>> {
  readonly url?: string;
  /** By any-case name; several values as a list. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

export function testCall({ url = 'http://reviews/', headers = {}, ...fields }: TestCall = {}): Call {
  const { protocol, host, hostname, port, pathname, search } = new URL(url);
  const values = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), typeof value === 'string' ? [value] : value]));
  const scheme = protocol.slice(0, -1);
  return {
    protocol: 'http',
    scheme,
    authority: host,
    host: hostname,
    port: port === '' ? (scheme === 'https' || scheme === 'wss' ? 443 : 80) : Number(port),
    method: 'GET',
    path: pathname,
    query: search.slice(1),
    replayable: true,
    sourceIp: undefined,
    ...fields,
    header: (name) => values.get(name)?.join(','),
    headerValues: (name) => values.get(name) ?? [],
  };
}

/** An Exchange's fields; `call` may be given as TestCall. Without a `life`, one on `clock` that no deadline ends. */
export interface TestExchange extends Partial<Omit<Exchange, 'call'>> {
  readonly call?: Call | TestCall;
  readonly clock?: Clock;
}

export function testExchange({ call, clock = fakeClock(), life, ...fields }: TestExchange = {}): Exchange {
  return {
    call: call !== undefined && 'header' in call ? call : testCall(call),
    life: life ?? new Life(clock.now(), new Deadlines(clock)),
    attempt: 0,
    tried: [],
    edits: NO_EDITS,
    hashKey: undefined,
    attemptTimeoutMs: 0,
    avoidPriorities: [],
    ...fields,
  };
}

/** Locality written as Istio does: `region/zone/subzone`, trailing parts optional. */
export function testLocality(text: string): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}

export interface TestEndpoint extends Partial<Omit<Endpoint, 'address' | 'host' | 'port' | 'locality'>> {
  readonly locality?: Locality | string;
}

/** A healthy endpoint of weight 1 at `host:port`, in no locality. */
export function testEndpoint(address: string, { locality = '', ...fields }: TestEndpoint = {}): Endpoint {
  const colon = address.lastIndexOf(':');
  return {
    address,
    host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
    labels: {},
    locality: typeof locality === 'string' ? testLocality(locality) : locality,
    network: '',
    weight: 1,
    serviceAccount: '',
    mtls: false,
    workload: '',
    namespace: '',
    node: '',
    health: 'healthy',
    ...fields,
  };
}

/** What a cluster knows of such an endpoint: joined at `now` (default 0). */
export function testState(address: string, fields: TestEndpoint = {}, now = 0): EndpointState {
  return new EndpointState(testEndpoint(address, fields), now);
}

/** A Runtime of its own: fake clock, chance of seed 1, silent observer, leases in memory, the real xxHash. */
export function testRuntime(fields: Partial<Runtime> = {}): Runtime {
  const clock = fields.clock ?? fakeClock();
  return {
    clock,
    random: seededRandom(1),
    observer: silentObserver,
    deadlines: new Deadlines(clock),
    hash,
    lease: new LeaseBook().scope().at('test'),
    ...fields,
  };
}
