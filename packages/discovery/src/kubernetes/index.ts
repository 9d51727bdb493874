export {
  kubernetesPolicy,
  type KubernetesOptions,
  type KubernetesPolicyOptions,
  kubernetesRegistry,
  type KubernetesRegistryOptions,
} from './registry.ts';
export type { AccessOptions } from './find-access.ts';
export { parseScope, type Scope } from './scope.ts';
