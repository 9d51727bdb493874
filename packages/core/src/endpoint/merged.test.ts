import { describe, expect, it } from 'vitest';
import type { Resolution, Resolver } from '../ports/resolver.ts';
import { fakeClock, testEndpoint, testService, type TestEndpoint } from '../testing/index.ts';
import { watchAll } from './merged.ts';

const ref = { service: testService(), port: { number: 80, name: 'http', protocol: 'HTTP' } } as const;
const bound = (...endpoints: readonly (string | readonly [string, TestEndpoint])[]): Resolution => ({
  state: 'bound',
  endpoints: endpoints.map((given) => (typeof given === 'string' ? testEndpoint(given) : testEndpoint(given[0], given[1]))),
});

/** Registries by name, with a priority where it is not 0; what they say, and what comes of it. */
function scene(...registries: readonly (string | readonly [string, number])[]) {
  const clock = fakeClock();
  const says = new Map<string, (resolution: Resolution) => void>();
  const closed: string[] = [];
  const resolvers = registries.map((given): Resolver => {
    const [name, priority] = typeof given === 'string' ? [given, undefined] : given;
    return {
      name,
      ...(priority === undefined ? {} : { priority }),
      handles: () => true,
      watch: (_ref, say) => {
        says.set(name, say);
        return { close: () => void closed.push(name) };
      },
    };
  });
  const heard: string[] = [];
  const write = (resolution: Resolution): string => {
    if (resolution.state === 'bound')
      return resolution.endpoints.map(({ address, priority }) => (priority === undefined ? address : `${address}@${priority}`)).join(' ');
    return resolution.state === 'failed' ? `failed ${resolution.reason}` : resolution.state;
  };
  const watch = watchAll(resolvers, ref, (resolution) => heard.push(write(resolution)), { clock, random: () => 0 });
  return { clock, heard, closed, watch, say: (name: string, resolution: Resolution) => says.get(name)!(resolution) };
}

describe('a service that several registries know', () => {
  it('has the endpoints of all, once all have answered', () => {
    const { say, heard } = scene('consul', 'kubernetes');
    say('kubernetes', bound('10.0.0.2:80'));
    expect(heard).toEqual([]);
    say('consul', bound('10.0.0.1:80'));
    expect(heard).toEqual(['10.0.0.1:80 10.0.0.2:80']);
    say('kubernetes', bound('10.0.0.2:80', '10.0.0.3:80'));
    expect(heard.at(-1)).toBe('10.0.0.1:80 10.0.0.2:80 10.0.0.3:80');
  });

  it('does not wait long for one that says nothing', async () => {
    const { say, heard, clock } = scene('consul', 'kubernetes');
    say('kubernetes', bound('10.0.0.2:80'));
    await clock.pass(2000);
    expect(heard).toEqual(['10.0.0.2:80']);
    say('consul', bound('10.0.0.1:80'));
    expect(heard.at(-1)).toBe('10.0.0.1:80 10.0.0.2:80');
    expect(clock.pending).toBe(0);
  });

  it('keeps what one that fails said last, tells that it fails, and tells the list again when it does not', () => {
    const { say, heard } = scene('consul', 'kubernetes');
    say('consul', bound('10.0.0.1:80'));
    say('kubernetes', bound('10.0.0.2:80'));
    heard.length = 0;
    say('consul', { state: 'failed', reason: 'no leader' });
    expect(heard).toEqual(['10.0.0.1:80 10.0.0.2:80', 'failed consul: no leader']);
    say('consul', bound('10.0.0.1:80'));
    expect(heard.at(-1)).toBe('10.0.0.1:80 10.0.0.2:80');
  });

  it('is absent only if nobody knows it, failed if nobody can say', () => {
    const { say, heard } = scene('consul', 'kubernetes');
    say('consul', { state: 'absent' });
    say('kubernetes', { state: 'failed', reason: '403' });
    expect(heard).toEqual(['failed kubernetes: 403']);
    say('kubernetes', { state: 'absent' });
    expect(heard.at(-1)).toBe('absent');
    say('kubernetes', bound());
    expect(heard.at(-1)).toBe('');
  });

  it('loses what a registry no longer knows', () => {
    const { say, heard } = scene('consul', 'kubernetes');
    say('consul', bound('10.0.0.1:80'));
    say('kubernetes', bound('10.0.0.2:80'));
    say('consul', { state: 'absent' });
    expect(heard.at(-1)).toBe('10.0.0.2:80');
  });

  it('takes an address that several name for one, as the first of them describes it', () => {
    const { say, heard } = scene(['consul', 1], 'kubernetes');
    say('consul', bound('10.0.0.1:80', '10.0.0.2:80'));
    say('kubernetes', bound('10.0.0.1:80'));
    expect(heard).toEqual(['10.0.0.1:80 10.0.0.2:80@65536']);
  });

  it('puts all of a later registry behind those of an earlier one, in the order it gives them', () => {
    const { say, heard } = scene(['consul', 1], ['dns', 2]);
    say('consul', bound(['10.0.0.1:80', { priority: 7 }]));
    say('dns', bound('10.0.0.2:80'));
    expect(heard).toEqual(['10.0.0.1:80@65543 10.0.0.2:80@131072']);
  });

  it('hears nothing after its end, and lets all registries go', async () => {
    const { say, heard, watch, closed, clock } = scene('consul', 'kubernetes');
    say('consul', bound('10.0.0.1:80'));
    watch.close();
    say('kubernetes', bound('10.0.0.2:80'));
    await clock.pass(5000);
    expect([heard, closed, clock.pending]).toEqual([[], ['consul', 'kubernetes'], 0]);
  });
});

it('a registry that throws has failed; the others serve', () => {
  const heard: Resolution[] = [];
  const broken: Resolver = {
    name: 'broken',
    handles: () => true,
    watch: () => {
      throw new Error('not today');
    },
  };
  const sound: Resolver = {
    name: 'sound',
    handles: () => true,
    watch: (_ref, say) => {
      say(bound('10.0.0.1:80'));
      return { close: () => {} };
    },
  };
  watchAll([broken, sound], ref, (resolution) => heard.push(resolution), { clock: fakeClock(), random: () => 0 });
  expect(heard).toMatchObject([{ state: 'bound', endpoints: [{ address: '10.0.0.1:80' }] }, { state: 'failed', reason: 'broken: not today' }]); // prettier-ignore
});
