import { describe, expect, it } from 'vitest';
import { memoryIo } from '../test/memory-io.ts';
import { validate } from './validate.ts';

const run = async (input: string, output: 'text' | 'json' = 'text', given: Parameters<typeof memoryIo>[0] = {}) => {
  const { io, out, err } = memoryIo({ input, ...given });
  return { exit: await validate({ files: ['-'], output }, io), out: out(), err: err() };
};

const SOUND = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api }
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{ number: 443, name: https, protocol: HTTPS }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop }
`;

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  servers:
    - port: { number: 80, name: http, protocol: HTTP }
      hosts: ['*']
`;

const WRONG = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - timeout: 3x
      retrys: {}
      route:
        - destination: { host: reviews }
`;

describe('inmesh validate', () => {
  it('ends with 0 when there is no problem', async () => {
    expect(await run(SOUND)).toEqual({
      exit: 0,
      out: '✔ no problems in 1 resource\n  1 resource of other kinds skipped: 1 apps/Deployment\n',
      err: '',
    });
    expect(await run(SOUND, 'json')).toEqual({ exit: 0, out: '{\n  "problems": []\n}\n', err: '' });
  });

  it('ends with 0 when there are only notes, and prints them', async () => {
    const { exit, out, err } = await run(SOUND + '---' + GATEWAY);
    expect([exit, err]).toEqual([0, '']);
    expect(out).toMatch(/^● <stdin>:\d+:\d+ {2}INM0005 {2}Gateway default\/front\n {2}kind: Gateway is checked but not honoured yet: .*\n/);
    expect(out).toContain('\n\n✔ 1 note in 2 resources\n');
  });

  it('ends with 79 when there are errors, and says where, what and what to do', async () => {
    expect(await run(WRONG)).toEqual({
      exit: 79,
      out: `✖ <stdin>:8:16  IST0106  VirtualService default/reviews
  spec.http[0].timeout: "3x" is not a duration
  → write numbers with units, such as 500ms, 10s or 1m30s
✖ <stdin>:9:7  INM0008  VirtualService default/reviews
  spec.http[0].retrys: unknown field "retrys"
  → did you mean retries?

✖ 2 errors in 1 file
`,
      err: '',
    });
  });

  it('prints every field of a problem as JSON', async () => {
    const { exit, out, err } = await run(WRONG, 'json');
    expect([exit, err]).toEqual([79, '']);
    expect(JSON.parse(out)).toEqual({
      problems: expect.arrayContaining([
        {
          code: 'INM0008',
          severity: 'error',
          resource: 'VirtualService default/reviews',
          path: 'spec.http[0].retrys',
          message: 'unknown field "retrys"',
          hint: 'did you mean retries?',
          file: '<stdin>',
          line: 9,
          column: 7,
        },
      ]),
    });
  });

  it('takes a text that is no YAML for a policy with an error', async () => {
    const { exit, out } = await run('a: [');
    expect(exit).toBe(79);
    expect(out).toContain('✖ <stdin>:');
  });

  it('ends with 65 and only a message when there is nothing to read', async () => {
    const err = 'inmesh: standard input is empty; a policy has at least one resource\n';
    expect(await run('', 'text')).toEqual({ exit: 65, out: '', err });
    expect(await run('', 'json')).toEqual({ exit: 65, out: '', err });
  });

  it('has colours on a terminal, and never in JSON', async () => {
    const tty = { stdin: false, stdout: true, stderr: true };
    expect((await run(WRONG, 'text', { tty })).out).toContain('\u001b[31m✖\u001b[39m');
    expect((await run(WRONG, 'json', { tty })).out).not.toContain('\u001b');
  });
});
