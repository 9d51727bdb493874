import { describe, expect, it } from 'vitest';
import { endpointTarget } from './endpoint.ts';
import { workloadApi } from './source.ts';

describe('endpointTarget', () => {
  it.each([
    ['unix:///run/spire/sockets/agent.sock', 'unix:///run/spire/sockets/agent.sock'],
    ['unix:///a%20b', 'unix:///a b'],
    ['tcp://127.0.0.1:8000', 'ipv4:127.0.0.1:8000'],
    ['tcp://[::1]:8000', 'ipv6:[::1]:8000'],
  ])('%s is %s', (endpoint, target) => {
    expect(endpointTarget(endpoint)).toBe(target);
  });

  it.each([
    ['/run/agent.sock', 'it is no URI'],
    ['unix:agent.sock', 'must be absolute'],
    ['unix://agent.sock', 'must be absolute'],
    ['unix:///', 'must be absolute'],
    ['unix:///a?b', 'it has user info, a query or a fragment'],
    ['tcp://127.0.0.1', 'the port is missing'],
    ['tcp://localhost:80', 'the host must be an IP address'],
    ['tcp://127.0.0.1:80/x', 'a TCP endpoint has no path'],
    ['http://127.0.0.1:80', 'its scheme is "http"'],
  ])('%s is refused: %s', (endpoint, why) => {
    expect(() => endpointTarget(endpoint)).toThrow(why);
  });

  it('workloadApi says where an endpoint may come from', () => {
    expect(() => workloadApi({ socket: '' })).toThrow('set SPIFFE_ENDPOINT_SOCKET');
  });
});
