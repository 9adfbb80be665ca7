// Times of all operations: `swift package --package-path Benchmarks benchmark`.

import Benchmark
import Operations

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.wallClock, .cpuTotal, .throughput], warmupIterations: 3, scalingFactor: .kilo,
        maxDuration: .seconds(2), maxIterations: 1_000)
    for operation in allOperations() {
        // A sync takes up to a millisecond: a thousand of them in one iteration would be too many.
        let waits = operation.name.contains("real disk")
        Benchmark(operation.name, configuration: .init(scalingFactor: waits ? .one : .kilo)) { benchmark in
            let work = operation.prepare()
            work(waits ? 10 : 100)
            benchmark.startMeasurement()
            work(benchmark.scaledIterations.count)
            benchmark.stopMeasurement()
        }
    }
}
