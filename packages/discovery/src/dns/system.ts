import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';

/**
 * The system's look-up holds a thread of libuv's pool, which has four and serves files and compression too. While DNS servers hang,
 * the names of a mesh must not take them all.
 */
const AT_ONCE = 2;

let running = 0;
const line: (() => void)[] = [];
const asked = new Map<string, Promise<LookupAddress[]>>();

/** All addresses of a name as the system knows them (hosts file, search domains, mDNS); asked once at a time for each name. */
export function askSystem(host: string): Promise<LookupAddress[]> {
  let answer = asked.get(host);
  if (answer === undefined) {
    answer = inLine(() => lookup(host, { all: true, order: 'ipv4first' })).finally(() => asked.delete(host));
    asked.set(host, answer);
  }
  return answer;
}

async function inLine<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => line.push(resolve));
  else running += 1;
  try {
    return await work();
  } finally {
    // The place goes on to the next one, if there is one.
    const next = line.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}
