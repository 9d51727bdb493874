import { describe, expect, it } from 'vitest';
import { ERRORS, flagBit, FLAGS, MeshError, printFlags } from './errors.ts';

describe('the error table', () => {
  it('gives every code a flag of Envoy or none, a status and a gRPC status', () => {
    for (const [code, { flag, status, grpc }] of Object.entries(ERRORS)) {
      if (flag !== null) expect(FLAGS, code).toContain(flag);
      expect(status === 0 || (status >= 400 && status < 600), code).toBe(true);
      expect(grpc, code).toBeGreaterThan(0);
      expect(grpc, code).toBeLessThanOrEqual(16);
    }
  });

  it('is what an error carries; an option overrides it', () => {
    expect(new MeshError('NO_ENDPOINT', 'none')).toMatchObject({
      flag: 'UH',
      status: 503,
      grpcStatus: 14,
      origin: 'local',
      phase: 'unsent',
    });
    expect(new MeshError('RESET', 'cut')).toMatchObject({ flag: 'UC', origin: 'upstream', phase: 'unanswered' });
    expect(new MeshError('ROUTE_INVALID', 'no', { status: 418, grpc: 3, phase: 'answered' })).toMatchObject({
      status: 418,
      grpcStatus: 3,
      phase: 'answered',
    });
  });

  it("says Envoy's details of how the call ended", () => {
    expect(new MeshError('RESET', 'cut').details).toBe('upstream_reset_before_response_started{connection_termination}');
    expect(new MeshError('RESET', 'cut', { phase: 'answered' }).details).toBe(
      'upstream_reset_after_response_started{connection_termination}',
    );
    expect(new MeshError('PERMISSION_DENIED', 'no', { details: 'rbac_access_denied_matched_policy[p]' }).details).toBe(
      'rbac_access_denied_matched_policy[p]',
    );
  });

  it('keeps the cause and is known across copies of the package', () => {
    const cause = new Error('deep');
    const error = new MeshError('CONNECT_FAILED', 'no way', { cause });
    expect(error.cause).toBe(cause);
    expect([MeshError.is(error), MeshError.is(cause), MeshError.is(undefined)]).toEqual([true, false, false]);
    expect(MeshError.is({ [Symbol.for('inmesh.MeshError.v1')]: true })).toBe(true);
  });

  it('leaves the stack traces of others alone', () => {
    const { stackTraceLimit } = Error;
    void new MeshError('RESET', 'cut');
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});

describe('response flags', () => {
  it('print as Envoy prints them', () => {
    expect([printFlags(0), printFlags(flagBit.UF), printFlags(flagBit.URX | flagBit.UF)]).toEqual(['-', 'UF', 'UF,URX']);
  });
});
