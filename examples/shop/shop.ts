import { createDevCa, saveDevCa } from '@inmesh/identity/dev';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { neighbours, objectives, papers, reviewsService, reviewsTraffic, reviewsWorkloads, type Traffic } from './policy.ts';
import { Backend } from './processes.ts';
import type { Role } from './services.ts';

/** The file the director edits. */
export const TRAFFIC_FILE = 'reviews-traffic.yaml';

/** In the order they are shown. */
const ROLES: readonly Role[] = ['reviews', 'ratings', 'rates'];

/** The processes of the shop and the folder of policy they all obey. */
export class Shop {
  readonly folder: string;
  /** What all processes obey. */
  readonly policy: string;
  /** The CA whose certificates they prove themselves with. */
  readonly ca: string;
  readonly backends: Backend[] = [];
  /** Admin ports of the processes that have a mesh, for the console. Who replaces one that died takes its place. */
  readonly admins: URL[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.policy = join(folder, 'policy');
    this.ca = join(folder, 'ca');
  }

  /** Starts everything. What reviews calls comes first, since a mesh wants a policy to begin with. */
  static async open(traffic: Traffic): Promise<Shop> {
    const shop = new Shop(await mkdtemp(join(tmpdir(), 'inmesh-shop-')));
    try {
      await mkdir(shop.policy);
      await saveDevCa(shop.ca, createDevCa());
      await shop.#write('papers.yaml', papers());
      await shop.#start(['ratings', 'v1', 2], ['rates', 'v1', 1]);
      await shop.#write('neighbours.yaml', neighbours(shop.of('ratings'), shop.of('rates')));
      await shop.#start(['reviews', 'v1', 3], ['reviews', 'v2', 3], ['reviews', 'v3', 2]);
      shop.admins.push(...shop.backends.flatMap(({ admin }) => admin ?? []));
      await shop.#write('reviews-service.yaml', reviewsService());
      await shop.#write('objectives.yaml', objectives());
      await shop.#write('reviews-workloads.yaml', reviewsWorkloads(shop.of('reviews')));
      await shop.steer(traffic);
      return shop;
    } catch (error) {
      await shop.close();
      throw error;
    }
  }

  /** Processes that live, or that died and whose death the policy does not know of yet. */
  of(role: Role, version?: string): Backend[] {
    return this.backends.filter((one) => one.role === role && (version === undefined || one.version === version));
  }

  /** Calls of gRPC by their status, as the meshes of the processes called have counted them. */
  outcomes(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { outcomes } of this.backends)
      for (const [status, count] of Object.entries(outcomes)) counts[status] = (counts[status] ?? 0) + count;
    return counts;
  }

  steer(traffic: Traffic): Promise<void> {
    return this.writeTraffic(reviewsTraffic(traffic));
  }

  /** Whatever text, right or wrong. */
  writeTraffic(text: string): Promise<void> {
    return this.#write(TRAFFIC_FILE, text);
  }

  /** Buries the dead, starts others in their place and tells the policy where they are. */
  async replaceDead(): Promise<void> {
    const dead = this.backends.filter((one) => one.dead);
    if (dead.length === 0) return;
    for (const one of dead) this.backends.splice(this.backends.indexOf(one), 1);
    for (const { role, version, admin } of dead) {
      const [heir] = await this.#start([role, version, 1]);
      if (admin !== undefined && heir?.admin !== undefined) this.admins[this.admins.indexOf(admin)] = heir.admin;
    }
    await this.#write('reviews-workloads.yaml', reviewsWorkloads(this.of('reviews')));
  }

  /** Ends every process and removes the folder. True if all went by themselves. */
  async close(): Promise<boolean> {
    const went = await Promise.all(this.backends.map((one) => one.stop()));
    await rm(this.folder, { recursive: true, force: true });
    return went.every(Boolean);
  }

  async #start(...wanted: readonly (readonly [role: Role, version: string, count: number])[]): Promise<readonly Backend[]> {
    const all = wanted.flatMap(([role, version, count]) => Array.from({ length: count }, () => [role, version] as const));
    const starts = await Promise.allSettled(all.map(([role, version]) => Backend.start(role, version, this.policy, this.ca)));
    // All have settled before a failure is told, so that close finds every process there is.
    const started = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    this.backends.push(...started);
    const failed = starts.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    this.backends.sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || a.version.localeCompare(b.version) || a.port - b.port);
    return started;
  }

  /** Moved into place whole, as a careful operator does. */
  async #write(name: string, text: string): Promise<void> {
    const draft = join(this.policy, `.${name}.new`);
    await writeFile(draft, text);
    await rename(draft, join(this.policy, name));
  }
}
