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

  it('is one of gRPC by the name of its method, as people and clients write it', () => {
    const called = {
      protocol: 'grpc', scheme: 'http', method: 'POST', path: '/shop.Ratings/Get', query: '', host: 'ratings', port: 9080,
    }; // prettier-ignore
    const port = (host: string): number => (host === 'ratings' ? 9080 : 0);
    for (const url of ['grpc://Ratings/shop.Ratings/Get', 'mesh:///Ratings/shop.Ratings/Get', 'mesh:Ratings/shop.Ratings/Get'])
      expect(requestCall({ url }, port)).toMatchObject({ ...called, authority: 'Ratings' });
    expect(requestCall({ url: 'grpc://ratings:80/shop.Ratings/Get' }, port)).toMatchObject({
      ...called,
      authority: 'ratings:80',
      port: 80,
    });
    expect(requestCall({ url: 'grpc://ratings/shop.Ratings/Get', port: 81 }, port)).toMatchObject({ authority: 'ratings', port: 81 });
    expect(requestCall({ url: 'grpc://[::1]:81/shop.Ratings/Get', method: 'post' }, port)).toMatchObject({ host: '[::1]', port: 81 });
    const call = requestCall({
      url: 'grpc://ratings/shop.Ratings/Get',
      headers: { 'content-type': 'application/grpc+json', Host: 'other' },
    });
    expect([call.header('content-type'), call.header('te'), call.authority]).toEqual(['application/grpc+json', 'trailers', 'other']);
  });

  it.each([
    'grpc://ratings', 'grpc://ratings/', 'grpc://ratings/Get', 'grpc://ratings/a.B/C/D', 'grpc://ratings/a.B/C?d=1', 'grpc:///a.B/C',
    'grpc://ratings:99999/a.B/C', 'mesh:///ratings', 'grpc://me@ratings/a.B/C',
  ])('refuses %j, which names no method', (url) => {
    expect(() => requestCall({ url })).toThrow(`"${url}" names no method`);
  }); // prettier-ignore

  it('of gRPC is a POST', () => {
    expect(() => requestCall({ url: 'grpc://ratings/a.B/C', method: 'GET' })).toThrow('every call of gRPC is a POST');
  });

  it('reads an IPv6 authority', () => {
    expect(requestCall({ url: 'http://[::1]:8080/' })).toMatchObject({ host: '[::1]', port: 8080 });
  });

  it.each(['/ratings', 'reviews:9080/x', 'ftp://x/', ''])('refuses %j by name', (url) => {
    expect(() => requestCall({ url })).toThrow(MeshError);
    expect(() => requestCall({ url })).toThrow(`"${url}"`);
  });
});
