import type { Document, Parsed, SourceText } from '../document.ts';
import { parse as parseTexts } from '../parse/index.ts';
import type { Problem } from '../problem.ts';
import { type Closeable, firstUpdate, type Pace, type PolicySource, type SourceUpdate, systemPace } from './source.ts';

/** Whoever lives by a document. Nothing here needs to keep the last good one: what is not told has not happened. */
export interface DocumentHandlers {
  /**
   * A document that means something else than the one before; `from` names where it was found (the source, the last good
   * file, a fallback). May throw: then it counts as rejected, with the error's message.
   */
  document(document: Document, version: string, from: string): void;
  /** The document in force was told again: the same meaning in other words, or a rejected update was taken back. */
  unchanged?(version: string): void;
  /** An update that changes nothing because it is wrong. */
  rejected?(rejection: Rejection): void;
  /** The source fails (and the last good document stays), or works again. */
  source?(state: 'ok' | 'failing', reason: string): void;
  /** The accepted document could not be kept on disk: a restart during an outage of the source would not find it. */
  unsaved?(reason: string): void;
}

export interface Rejection {
  readonly version: string;
  /** One sentence. */
  readonly reason: string;
  /** All that is wrong with it; empty if `document` threw. */
  readonly problems: readonly Problem[];
}

export interface WatchOptions {
  /** Default: `parse` of this package. */
  readonly parse?: (texts: readonly SourceText[]) => Parsed;
}

/** Follows the document of a source: parses each update, stops at an unchanged fingerprint, keeps what was accepted on disk where the source has a place for it. */
export function watchDocument(source: PolicySource, handlers: DocumentHandlers, options: WatchOptions = {}): Closeable {
  const judge = documentJudge(source, handlers, options);
  return source.watch((update) => void judge(update, source.name));
}

/** Why there is still no document. */
interface Refusal {
  readonly reason: string;
  readonly problems: readonly Problem[];
  readonly transient: boolean;
}

/** Decides what becomes of an update; undefined: a document is in force. Remembers the fingerprint in force. */
function documentJudge(
  source: PolicySource,
  handlers: DocumentHandlers,
  { parse = parseTexts }: WatchOptions,
): (update: SourceUpdate, from: string) => Refusal | undefined {
  let fingerprint: string | undefined;
  let failing = false;
  const reject = (rejection: Rejection, from: string): Refusal => {
    handlers.rejected?.(rejection);
    return { reason: `the document of ${from} was rejected: ${rejection.reason}`, problems: rejection.problems, transient: false };
  };
  return (update, from) => {
    const ofSource = from === source.name;
    if (!update.ok) {
      if (ofSource) handlers.source?.('failing', update.reason);
      failing ||= ofSource;
      return { reason: update.reason, problems: [], transient: update.transient };
    }
    if (ofSource && failing) {
      failing = false;
      handlers.source?.('ok', '');
    }
    const { texts, version } = update;
    const parsed = parse(texts);
    if (!parsed.ok) return reject({ version, reason: summarize(parsed.problems), problems: parsed.problems }, from);
    const { document } = parsed;
    if (document.fingerprint === fingerprint) {
      handlers.unchanged?.(version);
      return undefined;
    }
    try {
      handlers.document(document, version, from);
    } catch (error) {
      return reject({ version, reason: error instanceof Error ? error.message : String(error), problems: [] }, from);
    }
    fingerprint = document.fingerprint;
    // Only now: good is what was applied. And a full disk must not hurt who is served from memory.
    if (ofSource) source.lastGood?.save(texts, version).catch((error: Error) => handlers.unsaved?.(error.message));
    return undefined;
  };
}

function summarize(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const first = errors[0] ?? problems[0];
  if (first === undefined) return 'no reason given';
  const place = first.file === '' ? '' : `${first.file}${first.line > 0 ? `:${first.line}` : ''}: `;
  return `${place}${first.message}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}`;
}

/** How to start. */
export interface FirstOptions extends WatchOptions {
  /** How long each place is waited for: the source until it is given up, then each fallback. Default 5 s. */
  readonly timeoutMs?: number;
  /** Tried in order after the source and its last good document on disk; typically the file bundled with the program. */
  readonly fallbacks?: readonly PolicySource[];
  readonly pace?: Pace;
}

/** There is no document to begin with. */
export class NoDocumentError extends Error {
  override readonly name = 'NoDocumentError';
  /** What each place answered, a sentence each, in the order they were asked. */
  readonly reasons: readonly string[];
  /** All that is wrong with the documents that were found. */
  readonly problems: readonly Problem[];

  constructor(reasons: readonly string[], problems: readonly Problem[]) {
    super(`no policy document to begin with: ${reasons.join('; ')}`);
    this.reasons = reasons;
    this.problems = problems;
  }
}

/**
 * Begins with the best document there is, and follows the source from then on. The source is asked first; if its first
 * answer is no document (or none comes in time), the last good one on disk is taken at once, else the first of the
 * fallbacks that has one; if none has, a source that may recover by itself has until `timeoutMs`. Resolves when `handlers.document` was
 * given a document, rejects with NoDocumentError.
 */
export async function firstDocument(source: PolicySource, handlers: DocumentHandlers, options: FirstOptions = {}): Promise<Closeable> {
  const { timeoutMs = 5000, fallbacks = [], pace = systemPace } = options;
  const judge = documentJudge(source, handlers, options);
  const refusals = new Map<string, Refusal>();
  const start = Promise.withResolvers<void>();
  let started = false;

  const begin = (): void => {
    started = true;
    start.resolve();
  };
  const take = (update: SourceUpdate, from: string): Refusal | undefined => {
    const refusal = judge(update, from);
    if (refusal === undefined) begin();
    else refusals.set(refusal.reason, refusal);
    return refusal;
  };
  let asked: Promise<void> | undefined;
  const askOthers = async (): Promise<void> => {
    const places = [...(source.lastGood === undefined ? [] : [source.lastGood]), ...fallbacks];
    for (const place of places) {
      const update = await ('load' in place ? place.load() : firstUpdate(place, timeoutMs, pace));
      // The source may have come back meanwhile; nothing older may follow it.
      if (started) return;
      if (take(update, place.name) === undefined) return;
    }
  };
  const giveUp = (): void => {
    if (started) return;
    const all = [...refusals.values()];
    start.reject(
      new NoDocumentError(
        all.map(({ reason }) => reason),
        all.flatMap(({ problems }) => problems),
      ),
    );
  };

  // Starting is work in progress: without this, a process that has nothing else to do yet would end here without a word.
  const awake = setInterval(() => {}, 2 ** 30);
  const deadline = pace.after(timeoutMs, () => {
    if (refusals.size === 0)
      take({ ok: false, reason: `${source.name}: nothing heard within ${timeoutMs} ms`, transient: true }, source.name);
    void (asked ??= askOthers()).then(giveUp);
  });
  const watch = source.watch((update) => {
    if (started) return void judge(update, source.name);
    const refusal = take(update, source.name);
    if (refusal === undefined) return;
    void (asked ??= askOthers()).then(() => {
      if (!refusal.transient) giveUp();
    });
  });
  try {
    await start.promise;
    return watch;
  } catch (error) {
    watch.close();
    throw error;
  } finally {
    deadline.cancel();
    clearInterval(awake);
  }
}
