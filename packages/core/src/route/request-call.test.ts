import { describe, expect, it } from 'vitest';
import { MeshError } from '../errors.ts';
import { requestCall } from './request-call.ts';

describe('a described request', () => {
  it('is a call', () => {
    const call = requestCall({ method: 'post', url: 'http://Reviews:9080/a/b?q=1&r#top', headers: { 'End-User': 'jason' } });
    expect(call).toMatchObject({
      protocol: 'http',
      scheme: 'http',
      authority: 'reviews:9080',
      host: 'reviews',
      port: 9080,
      method: 'POST',
      path: '/a/b',
      query: 'q=1&r',
    });
    expect(call.header('end-user')).toBe('jason');
    expect(call.header('x')).toBeUndefined();
  });

  it('has the port of its scheme where it names none', () => {
    expect(requestCall({ url: 'http://reviews/' }).port).toBe(80);
    expect(requestCall({ url: 'https://reviews/' })).toMatchObject({ port: 443, scheme: 'https', authority: 'reviews' });
    expect(requestCall({ url: 'http://reviews/', port: 9080 })).toMatchObject({ port: 9080, host: 'reviews' });
  });

  it('takes a host header for the authority', () => {
    expect(requestCall({ url: 'http://127.0.0.1:9080/', headers: [['Host', 'Ratings:81']] })).toMatchObject({
      authority: 'Ratings:81',
      host: 'ratings',
      port: 9080,
    });
  });

  it('keeps repeated headers apart', () => {
    const call = requestCall({ url: 'http://reviews/', headers: [['X', 'a'], ['x', 'b']] }); // prettier-ignore
    expect(call.headerValues('x')).toEqual(['a', 'b']);
    expect(call.header('x')).toBe('a,b');
  });

  it('knows WebSocket by its scheme and gRPC by its content type', () => {
    expect(requestCall({ url: 'wss://chat/' })).toMatchObject({ protocol: 'websocket', scheme: 'https', port: 443 });
    expect(requestCall({ url: 'http://x/', headers: { 'content-type': 'application/grpc+proto' } }).protocol).toBe('grpc');
  });

  it('reads an IPv6 authority', () => {
    expect(requestCall({ url: 'http://[::1]:8080/' })).toMatchObject({ host: '[::1]', port: 8080 });
  });

  it.each(['/ratings', 'reviews:9080/x', 'ftp://x/', ''])('refuses %j by name', (url) => {
    expect(() => requestCall({ url })).toThrow(MeshError);
    expect(() => requestCall({ url })).toThrow(`"${url}"`);
  });
});
