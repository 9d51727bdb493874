import type { Resolution, ServiceRef } from '@inmesh/core';
import { type FakeClock, fakeClock, testService } from '@inmesh/core/testing';
import type { Service } from '@inmesh/policy';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Answer, ConsulClient } from './client.ts';
import { consulName } from './names.ts';
import { consulResolver } from './resolver.ts';
import { Seats } from './seats.ts';
import { consulSettings } from './settings.ts';
import { Troubles } from './trouble.ts';

const ref = (fields: Partial<Service> = {}, port = 0): ServiceRef => {
  const service = testService({ host: 'api.service.consul', ...fields });
  return { service, port: service.ports[port]! };
};

describe('the name in Consul', () => {
  const name = (fields: Partial<Service>, options = {}) => consulName(ref(fields), options);

  it('is that of a host of Consul’s', () => {
    expect(name({})).toEqual({ service: 'api', datacenter: '' });
    expect(name({ host: 'api.service.dc2.consul' })).toEqual({ service: 'api', datacenter: 'dc2' });
    expect(name({ host: 'api.service.corp' }, { domain: 'corp' })).toEqual({ service: 'api', datacenter: '' });
    for (const host of [
      'api.example.com',
      'api.consul',
      'v1.api.service.consul',
      'service.consul',
      'api.service.dc2.x.consul',
      'api.query.consul',
    ])
      expect(name({ host })).toBeUndefined();
  });

  it('is what the annotation says, and before that what the program says', () => {
    const annotations = { 'inmesh.dev/consul-service': 'Other_One' };
    expect(name({ host: 'a.b', annotations })?.service).toBe('Other_One');
    expect(name({ host: 'a.b', annotations }, { serviceOf: () => 'third' })?.service).toBe('third');
    expect(name({ host: 'a.b', annotations }, { serviceOf: () => undefined })?.service).toBe('Other_One');
  });
});

let clock: FakeClock;
let troubles: Troubles;
let questions: {
  readonly service: string;
  readonly datacenter: string;
  readonly held: boolean;
  answer: (given: Partial<Answer> | Error) => Promise<void>;
}[];
beforeEach(() => {
  clock = fakeClock();
  troubles = new Troubles();
  questions = [];
});

/** The test plays Consul. */
const clientOf = (datacenter: string) =>
  ({
    settings: consulSettings({ datacenter }, {}),
    health: (service: string, datacenter: string, since?: object) =>
      new Promise((resolve, reject) =>
        questions.push({
          service,
          datacenter,
          held: since !== undefined,
          answer: async (given) => {
            if (given instanceof Error) reject(given);
            else resolve({ body: [], index: 1, hash: undefined, leader: true, filtered: false, ...given });
            await clock.pass(0);
          },
        }),
      ),
  }) as unknown as ConsulClient;
const client = clientOf('dc1');

const at = (port: number, Meta: object = {}) => ({
  Node: { Address: '10.0.0.1', Datacenter: 'dc1' },
  Service: { Service: 'api', Port: port, Meta },
  Checks: [],
});

function follow(fields: Partial<Service> = {}, port = 0, resolver = consulResolver({ client, seats: new Seats(8), troubles }, {})) {
  const told: Resolution[] = [];
  const watch = resolver.watch(ref(fields, port), (resolution) => told.push(resolution), { clock, random: () => 0 });
  const words = () =>
    told.map((one) =>
      one.state === 'bound'
        ? one.endpoints.map(({ address }) => address).join(' ')
        : one.state === 'failed'
          ? `failed: ${one.reason}`
          : one.state,
    );
  return { resolver, words, close: () => watch.close() };
}

describe('endpoints of a service of Consul', () => {
  it('are those of its health, told when they change', async () => {
    const api = follow();
    await clock.pass(0);
    await questions[0]!.answer({ body: [at(8081), at(8080)], index: 5 });
    expect(questions.map(({ service, datacenter, held }) => [service, datacenter, held])).toEqual([['api', 'dc1', false], ['api', 'dc1', true]]); // prettier-ignore
    await questions[1]!.answer({ body: [at(8080), at(8081)], index: 6 });
    expect(api.words()).toEqual(['10.0.0.1:8080 10.0.0.1:8081']);
    api.close();
    expect(clock.pending).toBe(0);
  });

  it('a host of another datacenter is asked for there', async () => {
    const host = 'api.service.dc2.consul';
    const resolver = consulResolver({ client: clientOf(''), seats: new Seats(8), troubles }, {});
    expect(resolver.handles(ref({ host }))).toBe(true);
    const api = follow({ host }, 0, resolver);
    await clock.pass(0);
    expect(questions[0]!.datacenter).toBe('dc2');
    api.close();
    // Unless it is a registry of one datacenter.
    const own = consulResolver({ client, seats: new Seats(8), troubles }, {});
    expect([host, 'api.service.dc1.consul'].map((one) => own.handles(ref({ host: one })))).toEqual([false, true]);
  });

  it('of the first port of a service are at the port of the instance, of others at the one its Meta names', async () => {
    const ports = [
      { number: 80, name: 'http', protocol: 'HTTP' },
      { number: 9090, name: 'admin', protocol: 'HTTP' },
    ] as const;
    const { resolver, words, close } = follow({ ports });
    const admin = follow({ ports }, 1, resolver);
    await clock.pass(0);
    await questions[0]!.answer({ body: [at(8080, { 'port-admin': '9001' }), at(8081)] });
    expect([words(), admin.words()]).toEqual([['10.0.0.1:8080 10.0.0.1:8081'], ['10.0.0.1:9001']]);
    // Nobody asked twice.
    expect(questions.filter(({ held }) => !held)).toHaveLength(1);
    // One that comes later is told at once.
    const later = follow({ ports }, 0, resolver);
    expect(later.words()).toEqual(['10.0.0.1:8080 10.0.0.1:8081']);
    for (const one of [admin, later, { close }]) one.close();
    expect(clock.pending).toBe(0);
  });

  it('a service nobody registered is absent, and comes to be', async () => {
    const api = follow();
    await clock.pass(0);
    await questions[0]!.answer({ body: [] });
    await questions[1]!.answer({ body: [at(8080)], index: 2 });
    expect(api.words()).toEqual(['absent', '10.0.0.1:8080']);
    api.close();
  });

  it('a failure is told once, in words, and the list again when it is over', async () => {
    const api = follow();
    await clock.pass(0);
    await questions[0]!.answer({ body: [at(8080)] });
    await questions[1]!.answer(new Error('cannot be reached'));
    await clock.pass(1000);
    expect(troubles.text).toBe('cannot be reached');
    await questions[2]!.answer(new Error('cannot be reached'));
    await clock.pass(1000);
    await questions[3]!.answer({ body: [at(8080)] });
    expect(api.words()).toEqual(['10.0.0.1:8080', 'failed: cannot be reached', '10.0.0.1:8080']);
    expect(troubles.text).toBe('');
    api.close();
  });

  it('a token that may not see a service is trouble, and not a service without instances', async () => {
    const api = follow();
    await clock.pass(0);
    await questions[0]!.answer({ body: [], filtered: true });
    expect(api.words()).toEqual(['failed: the token may not see service "api" (it needs service:read and node:read)']);
    api.close();
    expect(troubles.text).toBe('');
  });

  it('are not its own to know where the caller says where to go', () => {
    const { resolver, close } = follow();
    expect(resolver.handles(ref())).toBe(true);
    expect(resolver.handles(ref({ resolution: 'none' }))).toBe(false);
    expect(resolver.handles(ref({ host: 'a.example.com' }))).toBe(false);
    close();
  });
});
