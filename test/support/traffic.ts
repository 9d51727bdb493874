/** What a mesh or a test's own client has. */
interface Caller {
  readonly fetch: (url: string) => Promise<{ readonly status: number; text(): Promise<string> }>;
}

/** Who answered `calls` calls one after the other, by what they said; refusals by their status. */
export async function spread({ fetch }: Caller, url: string, calls: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let call = 0; call < calls; call += 1) {
    const response = await fetch(url);
    const said = await response.text();
    const name = response.status === 200 ? said : String(response.status);
    seen[name] = (seen[name] ?? 0) + 1;
  }
  return seen;
}

/** Calls without a pause, four at a time, until stopped: what became of them. */
export function steadily({ fetch }: Caller, url: string) {
  let going = true;
  let calls = 0;
  const failures: string[] = [];
  const seen = new Set<string>();
  const caller = async (): Promise<void> => {
    while (going) {
      calls += 1;
      try {
        const response = await fetch(url);
        const said = await response.text();
        if (response.status === 200) seen.add(said);
        else failures.push(`${response.status} ${said}`);
      } catch (error) {
        failures.push(String(error));
      }
      // Others share this machine.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const callers = Promise.all([caller(), caller(), caller(), caller()]);
  return {
    stop: async () => {
      going = false;
      await callers;
      return { calls, failed: failures.length, failures: failures.slice(0, 3), seen: [...seen].sort() };
    },
  };
}

/** Waits until it holds; fails after `ms`. */
export async function until(holds: () => Promise<boolean>, everyMs = 20, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`still not so after ${ms} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
