import type { Clock, Closeable, Timer } from '@inmesh/core';
import { Informer, type InformerTools } from './informer.ts';

interface Node {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
}

/** How long a list waits for the nodes: without them zones are known all the same, by the slices. */
const PATIENCE_MS = 2000;

/** Labels of the nodes, for region and subzone, from the first listener on. Whoever may not read them goes without. */
export class Nodes {
  readonly #tools: InformerTools;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #informer: Informer<Node> | undefined;
  #patience: Timer | undefined;
  #impatient = false;

  constructor(tools: InformerTools) {
    this.#tools = tools;
    this.#clock = tools.clock;
  }

  get(name: string): Node | undefined {
    return this.#informer?.get('', name);
  }

  /** Whether all that will be known of these is known. */
  knows(names: ReadonlySet<string>): boolean {
    return this.#impatient || names.size === 0 || this.#informer?.ready === true || (this.#informer?.trouble ?? '') !== '';
  }

  listen(onChange: () => void): Closeable {
    const listener = (): void => onChange();
    this.#listeners.add(listener);
    if (this.#informer === undefined) this.#start();
    return {
      close: () => {
        if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
        this.#informer?.close();
        this.#informer = undefined;
        this.#patience?.cancel();
      },
    };
  }

  #start(): void {
    const tell = (): void => this.#listeners.forEach((one) => one());
    this.#informer = new Informer<Node>(
      { what: 'Nodes', path: '/api/v1/nodes', metadataOnly: true },
      this.#tools,
      ({ metadata: { labels = {} } }) => ({ metadata: { labels } }),
      tell,
    );
    this.#informer.start();
    this.#impatient = false;
    this.#patience = this.#clock.after(PATIENCE_MS, () => {
      this.#impatient = true;
      tell();
    });
  }
}
