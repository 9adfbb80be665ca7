// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that users of the server never resolve what only the measuring needs. It sees the rooms
// through their public face: `package` access ends at the border of a package.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "grapnel-benchmarks",
    dependencies: [
        .package(name: "grapnel", path: ".."),
        // Without traits: its allocation counter is left out. It reads 0 for code that allocates; see README.md.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .target(
            name: "Operations", dependencies: [.product(name: "GrapnelRooms", package: "grapnel")],
            swiftSettings: rules),
        .executableTarget(
            name: "Rooms",
            dependencies: ["Operations", .product(name: "Benchmark", package: "benchmark")],
            path: "Benchmarks/Rooms", swiftSettings: rules,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        .executableTarget(name: "room-allocations", dependencies: ["Operations"], swiftSettings: rules),
    ]
)
