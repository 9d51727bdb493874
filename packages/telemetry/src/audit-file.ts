import type { AuditRecord, AuditSink } from '@inmesh/core';
import { createWriteStream } from 'node:fs';

export interface AuditFileOptions {
  /** Which decisions: those an AUDIT policy matched (default), those and refusals, or all. */
  readonly wants?: AuditSink['wants'];
  /** Records that may wait for a slow disk; more are dropped and counted in the next line written. Default 10,000. */
  readonly maxWaiting?: number;
}

/**
 * Decisions about callers as JSON lines, appended to a file. A disk that is slow or full costs no call: what cannot wait any
 * longer is dropped, and the next line says how many were (`dropped`). Errors of the file are told to `onError`, once each.
 */
export function auditFile(
  path: string,
  { wants = 'audited', maxWaiting = 10_000 }: AuditFileOptions = {},
  onError: (error: Error) => void = (error) =>
    process.emitWarning(`inmesh: the audit file ${path}: ${error.message}`, { code: 'INMESH_AUDIT' }),
): AuditSink {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  let waiting = 0;
  let dropped = 0;
  let broken = false;
  stream.on('error', (error) => {
    broken = true;
    onError(error);
  });
  const written = (): void => {
    waiting -= 1;
  };
  return {
    name: `file ${path}`,
    wants,
    record: (record: AuditRecord) => {
      if (broken || waiting >= maxWaiting) {
        dropped += 1;
        return;
      }
      const line = { ...record, time: new Date(record.time).toISOString(), ...(dropped > 0 ? { dropped } : {}) };
      dropped = 0;
      waiting += 1;
      stream.write(`${JSON.stringify(line)}\n`, written);
    },
    close: () =>
      new Promise<void>((resolve) => {
        if (broken) resolve();
        else stream.end(resolve);
      }),
  };
}
