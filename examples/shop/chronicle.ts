import type { MeshEvent } from 'inmesh';

/** Something that happened, for people. */
export interface Line {
  /** `performance.now()`. */
  readonly at: number;
  readonly kind: 'scene' | 'director' | 'mesh' | 'trouble';
  readonly text: string;
}

/** What the mesh reports and what the director says, in one place: lines to read, counts, and something to wait for. */
export class Chronicle {
  readonly lines: Line[] = [];
  retries = 0;
  ejections = 0;
  readonly #ejected: { readonly at: number; readonly address: string }[] = [];
  readonly #waiting = new Set<(event: MeshEvent) => void>();
  readonly #onLine: (line: Line) => void;

  constructor(onLine: (line: Line) => void) {
    this.#onLine = onLine;
  }

  tell(kind: Line['kind'], text: string): void {
    const line = { at: performance.now(), kind, text };
    this.lines.push(line);
    if (this.lines.length > 100) this.lines.shift();
    this.#onLine(line);
  }

  /** For `createMesh({ onEvent })`. */
  readonly hear = (event: MeshEvent): void => {
    switch (event.type) {
      case 'call.retried':
        this.retries += 1;
        break;
      case 'endpoint.ejected':
        this.ejections += 1;
        this.#ejected.push({ at: performance.now(), address: event.address });
        this.tell(
          'mesh',
          `${shortName(event.cluster)} ejects ${portOf(event.address)}, ${(event.ms / 1000).toFixed(0)} s: ${event.reason}`,
        );
        break;
      case 'endpoint.returned':
        this.tell('mesh', `${shortName(event.cluster)} gives ${portOf(event.address)} another chance`);
        break;
      case 'policy.applied':
        this.tell('mesh', `policy ${event.version.slice(0, 8)} in force, compiled in ${event.ms.toFixed(1)} ms`);
        break;
      case 'policy.rejected':
        this.tell('trouble', `rejected: ${event.reason.replace(FOLDER, '')}`);
        break;
      case 'slo.burning':
        this.tell('mesh', `what ${event.slo} may fail is used up too fast: ${event.severity}`);
        break;
      default:
    }
    for (const wait of this.#waiting) wait(event);
  };

  /** How long after `from` an endpoint was ejected, in milliseconds; undefined if it was not. */
  untilEjected(address: string, from: number): number | undefined {
    const first = this.#ejected.find((one) => one.address === address && one.at >= from);
    return first === undefined ? undefined : first.at - from;
  }

  /** Milliseconds until the next event of a kind; undefined if none comes in time. */
  next(type: MeshEvent['type'], withinMs: number): Promise<number | undefined> {
    const from = performance.now();
    return new Promise((resolve) => {
      const end = (ms: number | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(wait);
        resolve(ms);
      };
      const wait = (event: MeshEvent): void => {
        if (event.type === type) end(performance.now() - from);
      };
      const timer = setTimeout(() => end(undefined), withinMs);
      this.#waiting.add(wait);
    });
  }
}

/** The folder before the name of a policy file: everybody knows it here. */
const FOLDER = /\S*\/(?=[^/\s]+\.yaml)/;

/** `reviews v1` of `outbound|80|v1|reviews.shop.svc.cluster.local`. */
function shortName(cluster: string): string {
  const [, , subset = '', host = cluster] = cluster.split('|');
  return `${host.split('.')[0]} ${subset}`.trim();
}

/** `:41234`, which is what endpoints on one host differ in. */
const portOf = (address: string): string => address.slice(address.lastIndexOf(':'));
