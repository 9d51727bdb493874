import type { AuditRecord } from '@inmesh/core';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditFile } from './audit-file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-audit-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const record = (path: string): AuditRecord => ({
  time: 0, decision: 'deny', status: 403, policy: 'ns[a]-policy[b]-rule[0]', audited: [], dryRun: [], principal: '', requestPrincipal: '',
  sourceIp: '10.0.0.9', method: 'GET', authority: 'shop', path, port: 80,
}); // prettier-ignore
const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore

it('appends one line a decision, readable by its owner only', async () => {
  const file = join(folder, 'audit.jsonl');
  for (const path of ['/a', '/b\n"']) {
    const sink = auditFile(file);
    sink.record(record(path));
    await sink.close?.();
  }
  expect(lines(file)).toEqual([
    { ...record('/a'), time: '1970-01-01T00:00:00.000Z' },
    { ...record('/b\n"'), time: '1970-01-01T00:00:00.000Z' },
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('drops what a slow disk cannot take, and says how many', async () => {
  const file = join(folder, 'slow.jsonl');
  const sink = auditFile(file, { maxWaiting: 2 });
  for (let at = 0; at < 5; at += 1) sink.record(record(`/${at}`));
  await new Promise((resolve) => setTimeout(resolve, 100));
  sink.record(record('/later'));
  await sink.close?.();
  expect(lines(file).map(({ path, dropped }) => [path, dropped])).toEqual([
    ['/0', undefined],
    ['/1', undefined],
    ['/later', 3],
  ]);
});

it('a file that cannot be written is told once, and costs nobody a call', async () => {
  const told: string[] = [];
  const sink = auditFile(join(folder, 'no/such/folder'), {}, (error) => told.push(error.message));
  await new Promise((resolve) => setTimeout(resolve, 50));
  sink.record(record('/a'));
  await sink.close?.();
  expect(told).toHaveLength(1);
  expect(told[0]).toContain('ENOENT');
});
