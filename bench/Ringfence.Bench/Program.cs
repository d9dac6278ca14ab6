using BenchmarkDotNet.Running;

// dotnet run -c Release --project bench/Ringfence.Bench -- --filter '*'
BenchmarkSwitcher.FromAssembly(typeof(Ringfence.Bench.DispatchBenchmarks).Assembly).Run(args);
