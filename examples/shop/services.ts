import { setTimeout as sleep } from 'node:timers/promises';

/** What a process of the shop can be. */
export type Role = 'reviews' | 'ratings' | 'rates';

/** An answer, sent as JSON. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Service {
  answer(): Promise<Answer>;
  close(): Promise<void>;
}

/** The body of a review, as the storefront reads it. */
export interface Review {
  readonly version: string;
  readonly text: string;
  readonly stars?: number;
}

const work = (): Promise<void> => sleep(1 + Math.random() * 3);
const nothing = async (): Promise<void> => {};

/** Opens what a backend serves. Reviews of v2 and v3 ask for stars through a mesh of their own, under the same policy folder. */
export async function openService(role: Role, version: string, policy: string): Promise<Service> {
  if (role === 'ratings') return { answer: () => answerAfterWork({ stars: 1 + Math.floor(Math.random() * 5) }), close: nothing };
  if (role === 'rates') return { answer: () => answerAfterWork({ EUR: 1, USD: 1.09, JPY: 171.4 }), close: nothing };
  if (version === 'v1') return { answer: () => answerAfterWork({ version, text: TEXT } satisfies Review), close: nothing };
  // Loaded here: the other processes start faster without it.
  const { createMesh } = await import('inmesh');
  const mesh = await createMesh({
    policy,
    workload: { name: `reviews-${version}`, namespace: 'shop', labels: { app: 'reviews', version } },
  });
  const answer = async (): Promise<Answer> => {
    const response = await mesh.fetch('http://ratings/7');
    if (!response.ok) return { status: 502, body: { error: `ratings: ${response.status} ${(await response.text()).trim()}` } };
    const { stars } = (await response.json()) as { stars: number };
    return answerAfterWork({ version, text: TEXT, stars } satisfies Review);
  };
  return { answer, close: () => mesh.close({ graceMs: 500 }) };
}

const TEXT = 'An extremely entertaining play by Shakespeare.';

async function answerAfterWork(body: unknown): Promise<Answer> {
  await work();
  return { status: 200, body };
}
