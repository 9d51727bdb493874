import type { Mesh } from 'inmesh';

/** Calls that go on and on, each after the last, several at a time. */
export interface SteadyCalls extends AsyncDisposable {
  readonly total: number;
  /** How often each body came. */
  readonly answers: Readonly<Record<string, number>>;
  /** What was no 200, or no answer. */
  readonly failures: readonly string[];
  /** Counts answers to calls that begin from now on; failures are not forgotten. */
  forget(): void;
}

/** Calls `url` with fetch until disposed of, some 400 times a second. */
export function steadyCalls(mesh: Pick<Mesh, 'fetch'>, url: string, headers: Readonly<Record<string, string>> = {}): SteadyCalls {
  let answers: Record<string, number> = {};
  let total = 0;
  const failures: string[] = [];
  let stopped = false;
  let era = 0;
  const caller = async (): Promise<void> => {
    while (!stopped) {
      const began = era;
      try {
        const response = await mesh.fetch(url, { headers });
        const text = await response.text();
        if (!response.ok) failures.push(`${response.status} ${text}`);
        else if (began === era) {
          answers[text] = (answers[text] ?? 0) + 1;
          total += 1;
        }
      } catch (error) {
        failures.push(String(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const callers = [caller(), caller()];
  return {
    get total() {
      return total;
    },
    get answers() {
      return { ...answers };
    },
    failures,
    forget: () => {
      era += 1;
      answers = {};
      total = 0;
    },
    [Symbol.asyncDispose]: async () => {
      stopped = true;
      await Promise.all(callers);
    },
  };
}
