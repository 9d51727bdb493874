import type { Mesh } from 'inmesh';
import { RATES_HOST } from './policy.ts';
import type { Review } from './services.ts';
import { JASON, type Tally, type Visit } from './tally.ts';

const REVIEWS = 'http://reviews/reviews/7';

const PER_SECOND = 150;

/** A machine that is busy with something else shall be asked for less, not end under an avalanche: more than these wait outside. */
const AT_ONCE = 20;
const IN_FLIGHT = 60;

const VISITORS = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan'];

/** The storefront and its visitors: pages are asked for at a steady rate, whatever becomes of the ones before. */
export class Storefront {
  readonly #mesh: Mesh;
  readonly #tally: Tally;
  readonly #under = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;
  /** Calls of jason's that were begun, the first few included. */
  ofJason = 0;

  constructor(mesh: Mesh, tally: Tally) {
    this.#mesh = mesh;
    this.#tally = tally;
  }

  /** Opens the doors, once the first few pages have been seen to work: they are slow, and nobody's. */
  async open(): Promise<void> {
    for (let page = 0; page < 20; page += 1) await this.#ending(REVIEWS, page % 2 === 0 ? JASON : VISITORS[0]!);
    let due = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      due = Math.max(due, now - (AT_ONCE * 1000) / PER_SECOND);
      for (; due <= now; due += 1000 / PER_SECOND) if (this.#under.size < IN_FLIGHT) this.#visit();
    }, 5);
  }

  /** No more visitors; those inside are served. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#under);
  }

  #visit(): void {
    const turn = (this.#turn += 1);
    // Every tenth page is jason's, every tenth shows prices and asks for today's rates.
    const user = turn % 10 === 0 ? JASON : VISITORS[turn % VISITORS.length]!;
    const visit = turn % 10 === 5 ? this.#call(`http://${RATES_HOST}/latest`, user) : this.#call(REVIEWS, user);
    this.#under.add(visit);
    void visit.finally(() => this.#under.delete(visit));
  }

  async #call(url: string, user: string): Promise<void> {
    const { chapter } = this.#tally;
    const began = performance.now();
    const ending = await this.#ending(url, user);
    const at = performance.now();
    this.#tally.add(chapter, { ...ending, at, ms: at - began, user });
  }

  async #ending(url: string, user: string): Promise<Pick<Visit, 'outcome' | 'version' | 'reason'>> {
    if (user === JASON) this.ofJason += 1;
    try {
      const response = await this.#mesh.fetch(url, { headers: { 'end-user': user } });
      const text = await response.text();
      if (response.ok) return { outcome: 'ok', version: (JSON.parse(text) as Partial<Review>).version, reason: '' };
      if (text.startsWith('fault filter abort')) return { outcome: 'fault', version: undefined, reason: '' };
      return { outcome: 'failed', version: undefined, reason: `${response.status} ${text.trim()}` };
    } catch (error) {
      const { message, cause } = error as Error;
      return { outcome: 'failed', version: undefined, reason: cause instanceof Error ? `${message}: ${cause.message}` : message };
    }
  }
}
