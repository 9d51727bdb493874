export { dnsResolver, type DnsResolverOptions } from './resolver.ts';
export { type Answer, dnsLookup, type Family, type Lookup, type LookupOptions } from './lookup.ts';
