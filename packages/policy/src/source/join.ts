import { digest, versionOf } from './digest.ts';
import { type Closeable, type Pace, type PolicySource, type SourceUpdate, systemPace } from './source.ts';

/** How long the first document waits for sources that have not spoken. Below the time a start may take. */
const PATIENCE_MS = 3000;

/**
 * Several sources as one document: the policy, and the services that registries know. The first is the policy: without it
 * there is no document. The others add to it what it does not declare itself: one that cannot tell keeps what it said last, and holds up the start for `patienceMs` (default
 * 3 s) at most. What fails is told, and that nothing fails any more.
 */
export function joinSources(
  policy: PolicySource,
  others: readonly PolicySource[],
  { patienceMs = PATIENCE_MS, pace = systemPace }: { readonly patienceMs?: number; readonly pace?: Pace } = {},
): PolicySource {
  if (others.length === 0) return policy;
  return {
    name: policy.name,
    ...(policy.lastGood === undefined ? {} : { lastGood: policy.lastGood }),
    watch: (onUpdate) => new Joint([policy, ...others], onUpdate).begin(patienceMs, pace),
  };
}

type Good = Extract<SourceUpdate, { ok: true }>;

interface Part {
  good: Good | undefined;
  failure: Extract<SourceUpdate, { ok: false }> | undefined;
}

class Joint implements Closeable {
  readonly #sources: readonly PolicySource[];
  readonly #onUpdate: (update: SourceUpdate) => void;
  readonly #parts: readonly Part[];
  readonly #watches: Closeable[] = [];
  #patience: { cancel(): void } | undefined = undefined;
  #waiting = true;
  #version: string | undefined = undefined;
  #reason: string | undefined = undefined;

  constructor(sources: readonly PolicySource[], onUpdate: (update: SourceUpdate) => void) {
    this.#sources = sources;
    this.#onUpdate = onUpdate;
    this.#parts = sources.map(() => ({ good: undefined, failure: undefined }));
  }

  begin(patienceMs: number, pace: Pace): Closeable {
    for (const [index, source] of this.#sources.entries())
      this.#watches.push(source.watch((update) => this.#hear(this.#parts[index]!, update)));
    this.#patience = pace.after(patienceMs, () => {
      this.#waiting = false;
      this.#tell();
    });
    return this;
  }

  close(): void {
    this.#patience?.cancel();
    for (const watch of this.#watches) watch.close();
  }

  #hear(part: Part, update: SourceUpdate): void {
    if (update.ok) {
      part.good = update;
      part.failure = undefined;
    } else part.failure = update;
    // Of a policy that cannot be had others may keep a document to begin with: that is told at once.
    const undecided = this.#waiting && this.#parts.some(({ good }) => good === undefined) && this.#parts[0]!.failure === undefined;
    if (undecided) return;
    this.#tell();
  }

  #tell(): void {
    const [policy] = this.#parts;
    if (policy!.good !== undefined) {
      this.#waiting = false;
      this.#patience?.cancel();
      // What the policy declares itself stands, whatever a registry says of it.
      const texts = this.#parts.flatMap(({ good }, index) =>
        index === 0 ? (good?.texts ?? []) : (good?.texts ?? []).map((text) => ({ ...text, yields: true })),
      );
      const version = versionOf(digest(texts));
      const recovered = this.#reason !== undefined && this.#parts.every(({ failure }) => failure === undefined);
      if (version !== this.#version || recovered) {
        this.#version = version;
        this.#reason = undefined;
        this.#onUpdate({ ok: true, texts, version });
      }
    }
    const failures = this.#parts.flatMap(({ failure }) => failure ?? []);
    const reason = failures.length === 0 ? undefined : failures.map((failure) => failure.reason).join('; ');
    if (reason === this.#reason) return;
    this.#reason = reason;
    if (reason !== undefined) this.#onUpdate({ ok: false, reason, transient: failures.some(({ transient }) => transient) });
  }
}
