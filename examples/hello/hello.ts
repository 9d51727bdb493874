import { createMesh } from 'inmesh';
import './greeters.ts';

const mesh = await createMesh({ policy: `${import.meta.dirname}/policy.yaml` });
const heard: Record<string, number> = {};
for (let call = 0; call < 100; call += 1) {
  const greeting = await (await mesh.fetch('http://greeter/')).text();
  heard[greeting] = (heard[greeting] ?? 0) + 1;
}
console.log(heard);
await mesh.close();
