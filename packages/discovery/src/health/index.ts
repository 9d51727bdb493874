export { healthChecks, type HealthChecksOptions } from './checks.ts';
