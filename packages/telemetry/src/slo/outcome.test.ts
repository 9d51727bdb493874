import { flagBit } from '@inmesh/core';
import { testEndedCall } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { available } from './outcome.ts';

const http = (status: number, flags = 0) => available(testEndedCall({ status, flags }));
const grpc = (grpcStatus: number, status = 200) => available(testEndedCall({ status, grpcStatus }));

describe('a service was available', () => {
  it('for calls it answered, with whatever but an error of its own', () => {
    for (const status of [101, 200, 302, 404, 429, 499]) expect([status, http(status)]).toEqual([status, true]);
    for (const status of [500, 502, 503, 504, 599]) expect([status, http(status)]).toEqual([status, false]);
  });

  it('not for calls that were never answered', () => {
    expect(http(0)).toBe(false);
    expect(http(0, flagBit.UC)).toBe(false);
    expect(http(0, flagBit.UC | flagBit.DC)).toBe(false);
  });

  it('nobody knows for calls that were given up by who made them', () => {
    expect(http(0, flagBit.DC)).toBeUndefined();
    expect(http(200, flagBit.DC)).toBeUndefined();
    expect(grpc(1, 0)).toBeUndefined();
  });

  it('for calls of gRPC by their status: OpenTelemetry’s errors of servers are not available', () => {
    const statuses = Array.from({ length: 18 }, (_, status) => status);
    expect(statuses.filter((status) => grpc(status) === false)).toEqual([2, 4, 12, 13, 14, 15, 17]);
    // A deadline that passed before there was an answer.
    expect(grpc(4, 0)).toBe(false);
    expect(grpc(0, 0)).toBe(true);
  });

  it('counts an injected fault as what it looks like', () => {
    expect(http(503, flagBit.FI)).toBe(false);
    expect(http(418, flagBit.FI)).toBe(true);
  });
});
