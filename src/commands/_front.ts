export const runCommandLine = async (_args: readonly string[]): Promise<void> => {};
