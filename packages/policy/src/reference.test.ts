import { describe, expect, it } from 'vitest';
import { reference } from './reference.ts';

const fields = reference().flatMap(({ kind, fields: all }) => all.map((field) => ({ kind, ...field })));

describe('reference', () => {
  it('has a sentence for every field of every kind', () => {
    expect(fields.length).toBeGreaterThan(400);
    expect(fields.filter(({ meaning }) => !/[.)]$/.test(meaning)).map(({ kind, path }) => `${kind} ${path}`)).toEqual([]);
    expect(reference().every(({ summary }) => summary.endsWith('.'))).toBe(true);
  });

  it('tells type, default, who obeys a field, and why nobody does', () => {
    const field = (kind: string, path: string) => fields.find((one) => one.kind === kind && one.path === path);
    expect(field('VirtualService', 'spec.http[].route[].destination.host')).toMatchObject({
      type: 'string',
      required: true,
      honoured: 'HTTP gRPC WebSocket TCP',
    });
    expect(field('VirtualService', 'spec.http[].match[].headers')).toMatchObject({ type: 'map of StringMatch', default: '' });
    expect(field('DestinationRule', 'spec.trafficPolicy.outlierDetection.interval')).toMatchObject({
      default: '10s',
      honoured: 'HTTP gRPC WebSocket TCP',
    });
    expect(field('DestinationRule', 'spec.trafficPolicy.loadBalancer.simple')?.type).toContain('LEAST_REQUEST');
    expect(field('VirtualService', 'spec.http[].corsPolicy.maxAge')).toMatchObject({ honoured: 'server', notHonoured: '' });
    expect(field('AuthorizationPolicy', 'spec.targetRefs[].name')).toMatchObject({
      honoured: '',
      notHonoured: expect.stringContaining('waypoints') as string,
    });
    expect(field('VirtualService', 'spec.http[].mirrorPercent')?.deprecated).toContain('mirrorPercentage');
    expect(field('Telemetry', 'spec.tracing[].customTags.<key>.literal')?.type).toBe('object'); // holds a value, but is no Percent
    expect(field('MeshConfig', 'spec.connectionsPerEndpoint')?.default).toBe('128');
  });

  it('says of every field either who obeys it or why nobody does, save where Kubernetes wrote it', () => {
    const silent = fields.filter(
      ({ kind, honoured, notHonoured }) =>
        honoured === '' && notHonoured === '' && !['Service', 'EndpointSlice', 'Pod', 'Node', 'ConfigMap', 'ReferenceGrant'].includes(kind),
    );
    expect(silent.map(({ kind, path }) => `${kind} ${path}`)).toEqual([]);
  });
});
