import { afterEach, expect, it, vi } from 'vitest';
import { meshOf } from '../support/mesh.ts';

afterEach(() => vi.unstubAllEnvs());

it.each([
  ['is off', 0, undefined, 404],
  ['is asked for by the program', { port: 0, console: true }, undefined, 200],
  ['is asked for by the environment', 0, '1', 200],
  ['is asked for by the environment, where the program only says where', { port: 0 }, '1', 200],
  ['is refused by the program, which knows better', { port: 0, console: false }, '1', 404],
] as const)('the console of a process %s', async (_, admin, environment, status) => {
  vi.stubEnv('INMESH_CONSOLE', environment);
  await using mesh = await meshOf('', { admin });
  expect((await fetch(`${mesh.adminUrl}/console/`)).status).toBe(status);
});
