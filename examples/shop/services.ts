import type { Mesh } from 'inmesh';
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
  /** undefined for the one that is not of the shop. */
  readonly mesh: Mesh | undefined;
}

/** The body of a review, as the storefront reads it. */
export interface Review {
  readonly version: string;
  readonly text: string;
  readonly stars?: number;
}

const work = (): Promise<void> => sleep(1 + Math.random() * 3);
const nothing = async (): Promise<void> => {};

/** Opens what a backend serves. Those of the shop live in a mesh under the same policy folder, and prove who they are with a certificate of the shop's own CA. */
export async function openService(role: Role, version: string, policy: string, ca: string): Promise<Service> {
  if (role === 'rates') return { answer: () => answerAfterWork({ EUR: 1, USD: 1.09, JPY: 171.4 }), close: nothing, mesh: undefined };
  const mesh = await openMesh(role, version, policy, ca);
  const close = (): Promise<void> => mesh.close({ graceMs: 500 });
  if (role === 'ratings') return { answer: () => answerAfterWork({ stars: 1 + Math.floor(Math.random() * 5) }), close, mesh };
  if (version === 'v1') return { answer: () => answerAfterWork({ version, text: TEXT } satisfies Review), close, mesh };
  // Reviews of v2 and v3 ask for stars.
  const answer = async (): Promise<Answer> => {
    const response = await mesh.fetch('http://ratings/7');
    if (!response.ok) return { status: 502, body: { error: `ratings: ${response.status} ${(await response.text()).trim()}` } };
    const { stars } = (await response.json()) as { stars: number };
    return answerAfterWork({ version, text: TEXT, stars } satisfies Review);
  };
  return { answer, close, mesh };
}

/** Loaded here: the process outside the mesh starts faster without it. */
async function openMesh(role: Role, version: string, policy: string, ca: string): Promise<Mesh> {
  const [{ createMesh }, { devCertificates, loadDevCa }] = await Promise.all([import('inmesh'), import('@inmesh/identity/dev')]);
  return createMesh({
    policy,
    workload: { name: `${role}-${version}`, namespace: 'shop', labels: { app: role, version } },
    identity: devCertificates(await loadDevCa(ca), { namespace: 'shop', serviceAccount: role }),
  });
}

const TEXT = 'An extremely entertaining play by Shakespeare.';

async function answerAfterWork(body: unknown): Promise<Answer> {
  await work();
  return { status: 200, body };
}
