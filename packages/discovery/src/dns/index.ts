export { dnsResolver, type DnsResolverOptions } from './resolver.ts';
export type { Answer, Family } from './answer.ts';
export { dnsLookup, type Lookup, type LookupOptions } from './lookup.ts';
