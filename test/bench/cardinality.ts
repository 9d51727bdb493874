/**
 * What a process keeps of callers and destinations who never come twice: `npm run bench:cardinality -- [--calls 1000000] [--only hosts]`. A million calls with
 * each another path, other headers, another account of the caller, another identity, another host; through the whole of the mesh but for
 * sockets, with everything that tells of calls switched on. Exits with 1 if the heap grows with them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { metadataExchange } from '@inmesh/telemetry';
import { memorySource } from '@inmesh/policy/source';
import { createMesh } from 'inmesh';

const { values: asked } = parseArgs({ options: { calls: { type: 'string', default: '1000000' }, only: { type: 'string', default: '' } } });
const CALLS = Number(asked.calls);
/** Until caches and series are full. */
const WARM = 30_000;
/** Ten bytes a call, of a million, are a leak. */
const MOST_GROWN_MB = 10;

const POLICY = `
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh, namespace: istio-system }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY }, accessLogFile: /dev/null, accessLogEncoding: JSON }
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: tags, namespace: default }
spec: { metrics: [{ providers: [{ name: prometheus }], overrides: [{ match: { metric: REQUEST_COUNT }, tagOverrides: { path: { value: request.path } } }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: inmesh.dev/v1
kind: ServiceLevelObjective
metadata: { name: shop, namespace: default }
spec: { service: shop, indicator: { latency: { threshold: 250ms } }, objective: 99 }
`;

const mesh = await createMesh({
  policy: memorySource([{ file: 'policy.yaml', text: POLICY }]),
  identity: false,
  workload: { name: 'shop-v1', namespace: 'default', labels: { app: 'shop' } },
  metrics: { semanticConventions: true },
});

interface Caller {
  readonly principal?: { readonly uri: string; readonly trustDomain: string; readonly namespace: string; readonly serviceAccount: string };
}
const handler = mesh.fetchHandler<[Caller]>(
  () => new Response('ok'),
  (_request: Request, { principal }: Caller) => ({ localPort: 8080, ...(principal === undefined ? {} : { principal }) }),
);
const received = async (path: string, headers: Record<string, string> = {}, caller: Caller = {}): Promise<void> => {
  await (await handler(new Request(`http://shop${path}`, { headers }), caller)).text();
};
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '1');

const KINDS: Readonly<Record<string, (at: number) => Promise<unknown>>> = {
  'paths': (at) => received(`/${at}/${'x'.repeat(100)}?n=${at}`),
  'headers': (at) =>
    received('/', {
      'user-agent': `agent ${at}`, 'x-request-id': `id-${at}`, 'x-forwarded-for': `192.0.${(at >> 8) & 255}.${at & 255}`, [`x-own-${at}`]: 'own',
      'traceparent': `00-${hex(at, 32)}-${hex(at, 16)}-01`, 'tracestate': `vendor${at}=${at}`, 'baggage': `key${at}=${at}`,
    }),
  'accounts of callers': (at) => {
    const { header: [name, value] } = metadataExchange({ name: `w${at}`, namespace: `ns${at}`, cluster: `c${at}`, labels: { app: `a${at}`, version: `v${at}` }, locality: { region: '', zone: '', subzone: '' }, network: '', serviceAccount: '', node: '' });
    return received('/', { [name]: value });
  },
  'principals': (at) => received('/', {}, { principal: { uri: `spiffe://cluster.local/ns/n${at}/sa/a${at}`, trustDomain: 'cluster.local', namespace: `n${at}`, serviceAccount: `a${at}` } }),
  'hosts': (at) => mesh.request(`http://host-${at}.example.com/`),
}; // prettier-ignore

async function megabytes(): Promise<number> {
  // Several, for what one finds out to be weak, and what is to be told of that.
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc!();
    await nextTurn();
  }
  return process.memoryUsage().heapUsed / 2 ** 20;
}

async function run(call: (at: number) => Promise<unknown>, from: number, to: number): Promise<void> {
  // Some at a time, as servers have them.
  for (let at = from; at < to; at += 50) {
    await Promise.all(Array.from({ length: Math.min(50, to - at) }, (_, more) => call(at + more)));
    // What is weak is held until a turn of the event loop ends.
    await nextTurn();
  }
}

console.log('| a million calls, each with another | heap before | heap after | page of /metrics | µs a call |\n|---|---|---|---|---|'.replace('a million', CALLS.toLocaleString('en'))); // prettier-ignore
let grown = 0;
for (const [kind, call] of Object.entries(KINDS).filter(([name]) => name.includes(asked.only))) {
  await run(call, 0, WARM);
  const before = await megabytes();
  const start = performance.now();
  await run(call, WARM, WARM + CALLS);
  const each = (1000 * (performance.now() - start)) / CALLS;
  const after = await megabytes();
  grown = Math.max(grown, after - before);
  console.log(`| ${kind} | ${before.toFixed(1)} MB | ${after.toFixed(1)} MB | ${(mesh.metrics().length / 2 ** 20).toFixed(1)} MB | ${each.toFixed(0)} |`); // prettier-ignore
}
await mesh.close({ graceMs: 1000 });
if (grown > MOST_GROWN_MB) {
  console.error(`the heap grew by ${grown.toFixed(1)} MB`);
  process.exit(1);
}
