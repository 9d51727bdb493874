import type { Mesh } from 'inmesh';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rating } from './ratings.ts';

/** What a process of the shop can be. */
export type Role = 'reviews' | 'ratings' | 'rates';

/** An answer, sent as JSON. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Service {
  answer(): Promise<Answer>;
  /** Serves what `answer` says, on a free port of loopback. Resolves with the port. */
  listen(answer: () => Promise<Answer>): Promise<number>;
  /** Its admin port; undefined if it has no mesh. */
  readonly admin?: string | undefined;
  /** How many calls of gRPC have ended with which status; undefined if it does not speak it. */
  outcomes?(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

/** The body of a review, as the storefront reads it. */
export interface Review {
  readonly version: string;
  readonly text: string;
  readonly stars?: number;
}

const work = (): Promise<void> => sleep(1 + Math.random() * 3);

/** Opens what a backend serves. Those of the shop live in a mesh under the same policy folder, and prove who they are with a certificate of the shop's own CA. */
export async function openService(role: Role, version: string, policy: string, ca: string): Promise<Service> {
  if (role === 'rates') return openRates();
  const mesh = await openMesh(role, version, policy, ca);
  return role === 'ratings' ? openRatings(mesh) : openReviews(mesh, version);
}

/** Somebody else's: it has no mesh. */
function openRates(): Service {
  const server = createServer();
  return {
    answer: () => answerAfterWork({ EUR: 1, USD: 1.09, JPY: 171.4 }),
    listen: (answer) => listening(server.on('request', handlerOf(answer))),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Over gRPC. */
async function openRatings(mesh: Mesh): Promise<Service> {
  const { outcomes, serveRatings } = await import('./ratings.ts');
  return {
    answer: () => answerAfterWork({ stars: 1 + Math.floor(Math.random() * 5) }),
    listen: (answer) => serveRatings(mesh, async () => (await answer()).body as Rating),
    admin: mesh.adminUrl,
    outcomes: () => outcomes(mesh.metrics()),
    close: () => mesh.close({ graceMs: 500 }),
  };
}

/** Of v2 and v3 they ask for stars. */
async function openReviews(mesh: Mesh, version: string): Promise<Service> {
  const { ratingsClient, told } = await import('./ratings.ts');
  const ratings = ratingsClient(mesh);
  const server = createServer();
  // The one line that protects a server.
  mesh.attach(server);
  return {
    answer: async () => {
      if (version === 'v1') return answerAfterWork({ version, text: TEXT } satisfies Review);
      try {
        const { stars } = await ratings.get(7);
        return await answerAfterWork({ version, text: TEXT, stars } satisfies Review);
      } catch (error) {
        const { status, body } = told(error);
        return { status: 502, body: { error: `ratings: ${status} ${body}` } };
      }
    },
    listen: (answer) => listening(server.on('request', handlerOf(answer))),
    admin: mesh.adminUrl,
    close: async () => {
      server.close();
      server.closeAllConnections();
      ratings.close();
      await mesh.close({ graceMs: 500 });
    },
  };
}

const handlerOf =
  (answer: () => Promise<Answer>): RequestListener =>
  (request, response) => {
    request.resume();
    void answer().then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  };

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Loaded here: the process outside the mesh starts faster without it. */
async function openMesh(role: Role, version: string, policy: string, ca: string): Promise<Mesh> {
  const [{ createMesh }, { devCertificates, loadDevCa }] = await Promise.all([import('inmesh'), import('@inmesh/identity/dev')]);
  return createMesh({
    policy,
    workload: { name: `${role}-${version}`, namespace: 'shop', labels: { app: role, version } },
    identity: devCertificates(await loadDevCa(ca), { namespace: 'shop', serviceAccount: role }),
    admin: 0,
  });
}

const TEXT = 'An extremely entertaining play by Shakespeare.';

async function answerAfterWork(body: unknown): Promise<Answer> {
  await work();
  return { status: 200, body };
}
