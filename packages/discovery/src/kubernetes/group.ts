import { check, type Checked } from './checked.ts';
import { Informer, type InformerTools } from './informer.ts';
import { type Collection, placesOf, type Scope } from './scope.ts';

/** The objects of one kind in all namespaces that are followed, each checked for itself. */
export class Group {
  readonly #informers: readonly Informer<Checked>[];
  readonly #scope: Scope;

  constructor(collection: Collection, scope: Scope, tools: InformerTools, onChange: () => void) {
    const { kind, root } = collection;
    this.#scope = scope;
    const apiVersion = root.replace(/^\/apis?\//, '');
    this.#informers = placesOf(collection, scope).map((place) => {
      const informer: Informer<Checked> = new Informer<Checked>(
        place,
        tools,
        (object) => check(apiVersion, kind, object, informer.get(object.metadata.namespace ?? '', object.metadata.name)),
        onChange,
      );
      return informer;
    });
  }

  start(): void {
    for (const informer of this.#informers) informer.start();
  }

  close(): void {
    for (const informer of this.#informers) informer.close();
  }

  /** All were listed, or will not be. */
  get ready(): boolean {
    return this.#informers.every(({ ready }) => ready);
  }

  /** The namespace was listed, and nothing is wrong at the moment: what is not there does not exist. */
  sure(namespace: string): boolean {
    const informer = this.#informerOf(namespace);
    return informer !== undefined && informer.ready && informer.trouble === '';
  }

  /** What is wrong with what is known of a namespace, whatever is wrong with its objects; '' = nothing. */
  trouble(namespace: string): string {
    return this.#informerOf(namespace)?.trouble ?? '';
  }

  #informerOf(namespace: string): Informer<Checked> | undefined {
    return this.#informers[this.#scope === '*' ? 0 : this.#scope.indexOf(namespace)];
  }

  /** None of it may be read. */
  get refused(): boolean {
    return this.#informers.every(({ refused }) => refused);
  }

  get(namespace: string, name: string): Checked | undefined {
    for (const informer of this.#informers) {
      const found = informer.get(namespace, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  *values(): Iterable<Checked> {
    for (const informer of this.#informers) yield* informer.values();
  }

  /** What is wrong with the server, and then with objects. */
  *troubles(): Iterable<string> {
    for (const { trouble } of this.#informers) if (trouble !== '') yield trouble;
    for (const { problem } of this.values()) if (problem !== '') yield problem;
  }
}

const MOST_TOLD = 5;

/** Troubles as one text for people. */
export function tellAll(troubles: Iterable<string>): string {
  const all = [...new Set(troubles)];
  const more = all.length > MOST_TOLD ? `; and ${all.length - MOST_TOLD} more` : '';
  return all.slice(0, MOST_TOLD).join('; ') + more;
}
