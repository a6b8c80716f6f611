// An object with some of its methods replaced: for faults between the steps of a registry or a store, and for mutants.

/** `target`, but for `methods`; everything else goes on with `target` itself, private fields included. */
export const overriding = <T extends object>(target: T, methods: Partial<T>): T =>
  new Proxy(target, {
    get: (object, key) => {
      const value: unknown = Reflect.get(methods, key) ?? Reflect.get(object, key, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
