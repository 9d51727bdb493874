export { connectCertificates, type ConnectCertificatesOptions } from './connect.ts';
export { consulPolicy, type ConsulPolicyOptions } from './policy.ts';
export type { ConsulRegistration } from './registration.ts';
export { consul, type ConsulOptions } from './registry.ts';
export type { ConsulConnection } from './settings.ts';
