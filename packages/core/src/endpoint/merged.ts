import type { Clock, Timer } from '../clock.ts';
import type { Closeable, Resolution, Resolver, ServiceRef } from '../ports/resolver.ts';
import type { Endpoint } from './endpoint.ts';

/** How long the first list waits for registries that have not answered: a part of the endpoints would draw all the load. */
const PATIENCE_MS = 2000;

/** Above any priority a registry itself gives its endpoints (SRV records go to 65,535). */
const PRIORITIES = 65_536;

interface Part {
  readonly resolver: Resolver;
  /** Its last list; a registry that fails keeps it. */
  endpoints: readonly Endpoint[] | undefined;
  resolution: Resolution;
}

/**
 * One service known to several registries, as while it moves from one to another: the lists of all are one list. An address that
 * several name is one endpoint, described by the first of them in order of priority. What one of them fails to say, or does not know,
 * takes nothing from the others. Nobody knows it: absent. Watches that throw have failed.
 */
export function watchAll(
  resolvers: readonly Resolver[],
  ref: ServiceRef,
  onChange: (resolution: Resolution) => void,
  tools: { readonly clock: Clock; readonly random: () => number },
): Closeable {
  const merge = new Merge(resolvers, onChange);
  merge.begin(ref, tools);
  return merge;
}

class Merge implements Closeable {
  readonly #parts: readonly Part[];
  readonly #onChange: (resolution: Resolution) => void;
  readonly #watches: Closeable[] = [];
  #patience: Timer | undefined = undefined;
  #complete = false;
  #closed = false;

  constructor(resolvers: readonly Resolver[], onChange: (resolution: Resolution) => void) {
    this.#onChange = onChange;
    this.#parts = resolvers
      .toSorted((a, b) => priorityOf(a) - priorityOf(b))
      .map((resolver) => ({ resolver, endpoints: undefined, resolution: { state: 'pending' } }));
  }

  begin(ref: ServiceRef, tools: { readonly clock: Clock; readonly random: () => number }): void {
    for (const part of this.#parts) {
      const hear = (resolution: Resolution): void => this.#hear(part, resolution);
      try {
        this.#watches.push(part.resolver.watch(ref, hear, tools));
      } catch (error) {
        hear({ state: 'failed', reason: error instanceof Error ? error.message : String(error) });
      }
    }
    if (this.#complete || this.#closed) return;
    this.#patience = tools.clock.after(PATIENCE_MS, () => {
      this.#complete = true;
      this.#tell();
    });
  }

  close(): void {
    this.#closed = true;
    this.#patience?.cancel();
    for (const watch of this.#watches.splice(0)) watch.close();
  }

  #hear(part: Part, resolution: Resolution): void {
    if (this.#closed || (resolution.state === 'pending' && part.resolution.state !== 'pending')) return;
    part.resolution = resolution;
    if (resolution.state === 'bound') part.endpoints = resolution.endpoints;
    else if (resolution.state === 'absent') part.endpoints = undefined;
    if (!this.#complete && this.#parts.every(({ resolution: { state } }) => state !== 'pending')) {
      this.#complete = true;
      this.#patience?.cancel();
    }
    if (this.#complete) this.#tell();
  }

  #tell(): void {
    const bound = this.#parts.some(({ endpoints }) => endpoints !== undefined);
    if (bound) this.#onChange({ state: 'bound', endpoints: this.#endpoints() });
    const failed = this.#parts.flatMap(({ resolver: { name }, resolution }) =>
      resolution.state === 'failed' ? [`${name}: ${resolution.reason}`] : [],
    );
    if (failed.length > 0) this.#onChange({ state: 'failed', reason: failed.join('; ') });
    else if (!bound && this.#parts.every(({ resolution: { state } }) => state === 'absent')) this.#onChange({ state: 'absent' });
  }

  #endpoints(): readonly Endpoint[] {
    const merged = new Map<string, Endpoint>();
    for (const { resolver, endpoints = [] } of this.#parts) {
      const priority = priorityOf(resolver) * PRIORITIES;
      for (const endpoint of endpoints)
        if (!merged.has(endpoint.address))
          merged.set(endpoint.address, priority === 0 ? endpoint : { ...endpoint, priority: priority + (endpoint.priority ?? 0) });
    }
    return [...merged.values()];
  }
}

const priorityOf = ({ priority = 0 }: Resolver): number => priority;
