/**
 * Run in a fresh process on several versions of Node, with the built packages: what the built-in fetch does before,
 * during and after the mesh. Prints one JSON line. Arguments: port of a server of the mesh, port of one outside.
 */
const outside = process.argv[3]!;
const legacy = Symbol.for('undici.globalDispatcher.1');
const current = Symbol.for('undici.globalDispatcher.2');
const slots = globalThis as unknown as Record<symbol, unknown>;
const originalFetch = globalThis.fetch;
// The built-in sets up its dispatcher at its first use; what it uses is what we compare with.
await (await fetch(`http://127.0.0.1:${outside}/before`)).text();
const used = process.versions['undici']!.startsWith('8') ? current : legacy;
const before = slots[used];

const { createMesh } = await import('inmesh');
const mesh = await createMesh({ policy: process.env['POLICY_FILE']!, workload: { name: 'client', namespace: 'default' } });
const untouched = slots[used] === before && globalThis.fetch === originalFetch;
const viaMesh = await mesh.fetch('http://shop.example.com/mesh-fetch', { method: 'POST', body: 'twelve bytes' });
const meshFetch = [viaMesh.status, await viaMesh.text(), viaMesh instanceof Response];

mesh.install();
const post = await fetch('http://shop.example.com/installed', { method: 'POST', body: 'hello', headers: { 'content-length': '5' } });
const installed = [post.status, await post.text()];
const passed = await fetch(`http://127.0.0.1:${outside}/passed`);
const passthrough = [passed.status, await passed.text()];
const refused = await fetch('http://shop.example.com:81/').then(
  (response) => response.status,
  (error: Error) => error.name,
);
const aborted = await fetch('http://shop.example.com/hang', { signal: AbortSignal.timeout(100) }).then(
  () => 'answered',
  (error: Error) => error.name,
);
const status = mesh.status().installed;
await mesh.close();
const restored = slots[used] === before;
const after = await (await fetch(`http://127.0.0.1:${outside}/after`)).text();
console.log(
  JSON.stringify({ node: process.version, untouched, meshFetch, installed, passthrough, refused, aborted, status, restored, after }),
);
