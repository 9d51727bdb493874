import { backoffMs, type Clock, type Timer } from '@inmesh/core';
import { type Api, ApiError } from './api.ts';

/** What is asked of a pod here. */
interface Pod {
  readonly uid: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

const BASE_MS = 1000;
const LONGEST_MS = 30_000;
/** Up to so many pods are asked for one by one. */
const FEW = 3;
/** Of pods that came and went. */
const MOST_KEPT = 10_000;
const PAGE = 500;

/**
 * Service accounts of the pods of one service that take mutual TLS: whom a client has to meet there (secure naming). Metadata does not
 * tell them, and they never change, so each is asked for once.
 */
export class Accounts {
  readonly #path: string;
  readonly #tools: { readonly api: Api; readonly clock: Clock; readonly random: () => number };
  readonly #known = new Map<string, string>();
  readonly #abort = new AbortController();
  #asking = false;
  #failures = 0;
  #timer: Timer | undefined;

  constructor(namespace: string, tools: { readonly api: Api; readonly clock: Clock; readonly random: () => number }) {
    this.#path = `/api/v1/namespaces/${namespace}/pods`;
    this.#tools = tools;
  }

  /** '' for pods that take no mutual TLS, where nobody is met; undefined: not known yet. */
  of({ uid, labels }: Pod): string | undefined {
    return labels['security.istio.io/tlsMode'] === 'istio' ? this.#known.get(uid) : '';
  }

  /** Asks for the accounts of pods by name; `onKnown` is called when there is something new. */
  learn(selector: string, names: readonly string[], onKnown: () => void): void {
    if (this.#asking) return;
    this.#asking = true;
    const queries =
      names.length <= FEW
        ? names.map((name) => `fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`)
        : [`labelSelector=${encodeURIComponent(selector)}&limit=${PAGE}`];
    Promise.all(queries.map((query) => this.#ask(query))).then(
      () => {
        this.#failures = 0;
        this.#asking = false;
        onKnown();
      },
      () => {
        const { clock, random } = this.#tools;
        if (this.#abort.signal.aborted) return;
        this.#timer = clock.after(backoffMs({ baseMs: BASE_MS, maxMs: LONGEST_MS }, this.#failures + 1, random), () => {
          this.#asking = false;
          onKnown();
        });
        this.#failures += 1;
      },
    );
  }

  close(): void {
    this.#abort.abort();
    this.#timer?.cancel();
  }

  async #ask(query: string): Promise<void> {
    for (let next = ''; ;) {
      const page = (await this.#tools.api.get(`${this.#path}?${query}${next}`, { signal: this.#abort.signal })) as {
        readonly items?: readonly {
          readonly metadata?: { readonly uid?: string };
          readonly spec?: { readonly serviceAccountName?: string };
        }[];
        readonly metadata?: { readonly continue?: string };
      };
      if (!Array.isArray(page.items)) throw new ApiError(0, 'answered with something else than a list');
      for (const { metadata, spec } of page.items) this.#known.set(metadata?.uid ?? '', spec?.serviceAccountName ?? 'default');
      for (const uid of this.#known.keys()) {
        if (this.#known.size <= MOST_KEPT) break;
        this.#known.delete(uid);
      }
      const token = page.metadata?.continue ?? '';
      if (token === '') return;
      next = `&continue=${encodeURIComponent(token)}`;
    }
  }
}
