import { expect, test } from 'vitest';
import { parseProbe } from './probe.ts';

test('a machine’s own probe is that of a WorkloadGroup, and may be a command', () => {
  expect(parseProbe({ periodSeconds: 1, exec: { command: ['pg_isready', '-q'] } })).toEqual({
    ok: true,
    probe: {
      initialDelayMs: 0,
      timeoutMs: 1000,
      periodMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
      ask: { kind: 'exec', command: ['pg_isready', '-q'] },
    },
  });
  expect(parseProbe({ grpc: {} })).toMatchObject({ ok: true, probe: { ask: { kind: 'grpc', port: null } } });
});

test.each([
  [{}, 'httpGet: the probe says nothing to do (keep exactly one of httpGet, tcpSocket, exec, grpc)'],
  [{ tcpSocket: { port: 1 }, exec: { command: ['true'] } }, 'exec: tcpSocket, exec exclude each other'],
  [{ exec: { command: [] } }, 'exec.command: the command is empty'],
  [{ exec: { command: 'true' } }, 'exec.command: '],
  [{ every: 5, tcpSocket: { port: 1 } }, 'every: '],
  [{ tcpSocket: { port: 70_000 } }, 'tcpSocket.port: '],
  ['true', ''],
])('%j is refused with what is wrong', (value, problem) => {
  const parsed = parseProbe(value);
  expect(parsed.ok).toBe(false);
  expect(!parsed.ok && parsed.problems.join('; ')).toContain(problem);
});
