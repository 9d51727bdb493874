// A program that calls once and has nothing more to do: what it follows must not keep it alive.
import { createMesh } from 'inmesh';

const { policy, registries, call } = JSON.parse(process.argv[2]!) as { policy: string; registries: string[]; call: string };
const mesh = await createMesh({ policy, registries });
const answer = await mesh.request(call);
process.send!(answer.text());
process.disconnect();
