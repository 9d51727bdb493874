/** Calls a service whose names a server does not answer for, gives up, and has nothing else to do. Arguments: the server, the member. */
import { createMesh, memorySource } from 'inmesh';

const [server, member] = process.argv.slice(2);
const text = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews.internal]
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: ${member} }]
`;
const mesh = await createMesh({ policy: memorySource([{ file: 'policy.yaml', text }]), dns: { servers: [`internal=${server}`] } });
await mesh.fetch('http://reviews.internal/', { signal: AbortSignal.timeout(200) }).catch(() => console.log('gave up'));
