import { createHash } from 'node:crypto';
import { MeshError, systemClock, type Timer } from '@inmesh/core';
import type { SourceText } from '@inmesh/policy';
import { lastGoodFile, type PolicySource, type SourceUpdate } from '@inmesh/policy/source';
import { follow } from './blocking.ts';
import { ConsulClient } from './client.ts';
import { Seats } from './seats.ts';
import { type ConsulConnection, consulSettings } from './settings.ts';

export interface ConsulPolicyOptions extends ConsulConnection {
  /** Where the keys of the document begin: `mesh/` for `mesh/routes.yaml`, `mesh/security/peers.yaml` … A slash at its end is added. */
  readonly prefix: string;
  /** Keys written one after the other are one change once nothing moved for this long. Default 50 ms. */
  readonly quietMs?: number;
  /** Where the last accepted document is kept for a start without Consul. Default: nowhere. */
  readonly cacheFile?: string;
}

/** However often it changes, it is read after this. */
const LONGEST_QUIET_MS = 2000;

/**
 * A policy document in Consul's key-value store: every key under a prefix is a text of it, in order of their names. A text beyond the 512 KiB
 * of one value is split over keys `NAME/part-1`, `NAME/part-2` …; where `NAME/sha256` holds the digest of the whole in hex, parts are
 * taken only when they are those. A prefix without keys is a failure and never an empty mesh.
 */
export function consulPolicy(options: ConsulPolicyOptions): PolicySource {
  const { quietMs = 50, cacheFile } = options;
  const prefix = options.prefix.replace(/^\/+|\/+$/g, '');
  if (prefix === '') throw new MeshError('MISUSE', 'consulPolicy: the prefix is empty, which would be the whole store');
  const settings = consulSettings(options);
  const name = `${settings.name} kv ${prefix}/`;
  return {
    name,
    ...(cacheFile === undefined ? {} : { lastGood: lastGoodFile(cacheFile, name) }),
    watch: (onUpdate) => {
      const client = new ConsulClient(settings);
      const quiet = new Quiet(name, quietMs, onUpdate);
      const following = follow(
        {
          ask: (since) => client.keys(`${prefix}/`, since),
          read: (body) => readTexts(body, `${prefix}/`),
          onAnswer: (texts) => quiet.heard(texts),
          onFailure: (reason) => quiet.failed(reason),
        },
        { clock: systemClock, random: Math.random, seats: new Seats(1), waitMs: settings.waitMs },
      );
      return {
        close: () => {
          quiet.close();
          following.close();
          client.close();
        },
      };
    },
  };
}

/** Tells a document when it has come to rest, and a failure at once. */
class Quiet {
  readonly #name: string;
  readonly #quietMs: number;
  readonly #onUpdate: (update: SourceUpdate) => void;
  #timer: Timer | undefined;
  #since: number | undefined;
  #told: string | undefined;
  #reason: string | undefined;

  constructor(name: string, quietMs: number, onUpdate: (update: SourceUpdate) => void) {
    this.#name = name;
    this.#quietMs = quietMs;
    this.#onUpdate = onUpdate;
  }

  heard(texts: readonly SourceText[] | string): void {
    if (typeof texts === 'string') {
      this.failed(texts);
      return;
    }
    const version = sha256(JSON.stringify(texts)).slice(0, 12);
    const tell = (): void => {
      this.#since = undefined;
      if (version === this.#told && this.#reason === undefined) return;
      this.#told = version;
      this.#reason = undefined;
      this.#onUpdate({ ok: true, texts, version });
    };
    // The first is waited for.
    if (this.#told === undefined) return tell();
    const now = systemClock.now();
    this.#since ??= now;
    this.#timer?.cancel();
    this.#timer = systemClock.after(Math.min(this.#quietMs, Math.max(0, this.#since + LONGEST_QUIET_MS - now)), tell);
  }

  failed(reason: string): void {
    this.#timer?.cancel();
    this.#since = undefined;
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#onUpdate({ ok: false, reason: `${this.#name}: ${reason}`, transient: true });
  }

  close(): void {
    this.#timer?.cancel();
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The texts, or why they are none. Throws if this is no answer at all. */
function readTexts(body: unknown, prefix: string): readonly SourceText[] | string {
  if (body !== undefined && !Array.isArray(body)) throw new Error('answered with something that is no list of keys');
  const values = new Map<string, string>();
  for (const item of (body ?? []) as readonly { readonly Key?: unknown; readonly Value?: unknown }[]) {
    const { Key: key, Value: value } = item ?? {};
    // A key that ends with a slash is a folder, as Consul's own pages make them.
    if (typeof key === 'string' && !key.endsWith('/')) values.set(key.slice(prefix.length), typeof value === 'string' ? value : '');
  }
  const texts: SourceText[] = [];
  for (const [file, parts] of Map.groupBy(values.keys(), wholeOf)) {
    const text = parts.length === 1 && parts[0] === file ? values.get(file)! : joined(file, parts, values);
    if (typeof text !== 'string') return text.problem;
    texts.push({ file, text });
  }
  if (texts.every(({ text }) => text.trim() === '')) return 'there are no keys with a text, which is not taken for an empty mesh';
  return texts.sort((a, b) => (a.file < b.file ? -1 : 1));
}

const PART = /^(.+)\/(?:part-(\d{1,6})|sha256)$/;
const wholeOf = (key: string): string => PART.exec(key)?.[1] ?? key;

function joined(file: string, keys: readonly string[], values: ReadonlyMap<string, string>): string | { readonly problem: string } {
  const parts = new Map(keys.flatMap((key) => (PART.exec(key)?.[2] === undefined ? [] : [[Number(PART.exec(key)![2]), values.get(key)!]])));
  const numbers = [...parts.keys()].sort((a, b) => a - b);
  if (keys.includes(file)) return { problem: `"${file}" is both a key and the parts of one: remove one of them` };
  // Half of a write, most often.
  if (numbers.length === 0 || numbers.some((number, index) => number !== index + 1))
    return { problem: `parts of "${file}" are missing: there are ${numbers.join(', ') || 'none'}` };
  const text = numbers.map((number) => parts.get(number)!).join('');
  const digest = values.get(`${file}/sha256`);
  if (digest !== undefined && digest.trim().toLowerCase() !== sha256(text))
    return { problem: `the parts of "${file}" are not those of its sha256` };
  return text;
}
