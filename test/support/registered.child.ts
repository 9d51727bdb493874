import { createMesh } from 'inmesh';
import { consul } from '@inmesh/discovery/consul';

// A process that registers itself and lives until it is killed.
await createMesh({
  policy: 'apiVersion: v1\nkind: List\nitems: []\n',
  registries: [consul({ register: { service: 'mortal', port: 1, id: 'mortal' } })],
});
process.send!('up');
setInterval(() => {}, 1000);
