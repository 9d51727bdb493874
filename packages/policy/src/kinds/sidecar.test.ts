import { describe, it } from 'vitest';
import { judge, named, type Row } from '../testing/problems.ts';

const egress = (...hosts: string[]): object => ({ egress: [{ hosts }] });

const sidecars: readonly Row[] = [
  ['an empty one', {}, null],
  ['every form of host', egress('*/*', './*', '~/*', 'prod/reviews.prod.svc.cluster.local', '*/*.example.com', '~prod/a.b'), null],
  ['egress without hosts', { egress: [{}] }, 'spec.egress[0].hosts', /required/],
  ['egress with empty hosts', egress(), 'spec.egress[0].hosts', /empty/],
  ['a host without a namespace', egress('reviews'), 'spec.egress[0].hosts[0]', /namespace\/host/],
  ['a namespace that is none', egress('Prod/a'), 'spec.egress[0].hosts[0]', /namespace/],
  ['a host of no namespace', egress('~/a'), 'spec.egress[0].hosts[0]', /~\/\*/],
  ['a host that is none', egress('prod/a b'), 'spec.egress[0].hosts[0]', /end with a host/],
  ['a mode that is none', { outboundTrafficPolicy: { mode: 'ALLOW' } }, 'spec.outboundTrafficPolicy.mode', /not one of/],
  ['a bind address', { egress: [{ bind: '127.0.0.1', hosts: ['./*'] }] }, 'spec.egress[0].bind', /not honoured/, 'info'],
  ['inbound rules', { ingress: [{ port: { number: 80, protocol: 'HTTP' }, defaultEndpoint: '127.0.0.1:80' }] }, 'spec.ingress', /not honoured/, 'info'],
  ['an inbound port twice', { ingress: [{ port: { number: 80, protocol: 'HTTP' } }, { port: { number: 80, protocol: 'HTTP' } }] }, 'spec.ingress[1].port.number', /twice/],
  ['an endpoint elsewhere', { ingress: [{ port: { number: 80, protocol: 'HTTP' }, defaultEndpoint: '10.0.0.1:80' }] }, 'spec.ingress[0].defaultEndpoint', /no local/],
]; // prettier-ignore

const server = { port: { number: 443, protocol: 'HTTPS' }, hosts: ['*'], tls: { mode: 'SIMPLE', credentialName: 'c' } };

const gateways: readonly Row[] = [
  ['a gateway', { servers: [server] }, 'kind', /not honoured yet/, 'info'],
  ['no servers', {}, 'spec.servers', /required/],
  ['HTTPS without tls', { servers: [{ ...server, tls: undefined }] }, 'spec.servers[0].tls', /needs tls/],
  ['SIMPLE without files', { servers: [{ ...server, tls: { mode: 'SIMPLE', serverCertificate: 'a' } }] }, 'spec.servers[0].tls.privateKey', /needs privateKey/],
  ['a host that is none', { servers: [{ ...server, hosts: ['a b'] }] }, 'spec.servers[0].hosts[0]', /not a host/],
  ['a server name twice', { servers: [{ ...server, name: 'a' }, { ...server, name: 'a' }] }, 'spec.servers[1].name', /twice/],
  ['a redirect of https', { servers: [{ ...server, tls: { ...server.tls, httpsRedirect: true } }] }, 'spec.servers[0].tls.httpsRedirect', /plain HTTP/],
]; // prettier-ignore

describe('Sidecar', () => {
  it.each(named(sidecars))('judges $name', ({ row }) => judge('Sidecar', row));
});

describe('Gateway', () => {
  it.each(named(gateways))('judges $name', ({ row }) => judge('Gateway', row));
});
