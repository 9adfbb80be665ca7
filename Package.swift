// swift-tools-version: 6.3
import PackageDescription

// One set of rules for every room of ours: language mode 6, strict memory safety, warnings are errors.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

// Tests reach into memory as they like; everything else holds for them too.
let testRules: [SwiftSetting] = [
    .swiftLanguageMode(.v6), .treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny"),
]

func test(_ room: String, _ others: Target.Dependency...) -> Target {
    .testTarget(name: room + "Tests", dependencies: [.byName(name: room)] + others, swiftSettings: testRules)
}

// Swift 6.3.1 emits a broken module for the executable under the thread sanitizer (an invalid bitcast in its own checks of inout
// accesses), so that run leaves the executable and its tests out; every room it is made of is in.
let isThreadSanitized = Context.environment["GRAPNEL_SANITIZER"] == "thread"

let server: Target = .executableTarget(
    name: "Grapnel",
    dependencies: [
        "CLinuxIO", "CCrypto", "EventLoop", "HTTP", "CEL", "Delivery", "Journal", "Ring", "Metrics", "Trigger",
        "Kubernetes", "Catalog", "Cluster",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "Yams", package: "Yams"),
        logging,
    ],
    swiftSettings: rules)

let serverTests = test(
    "Grapnel", "CCrypto", "CLinuxIO", "CTLSPeer", "EventLoop", "Delivery", "HTTP", "Journal", "Ring", "Catalog",
    "Trigger",
    .product(name: "ArgumentParser", package: "swift-argument-parser"),
    .product(name: "NIOHTTP1", package: "swift-nio"), logging)

let tests: [Target] =
    [
        test("Metrics"), test("Ring", "CLinuxIO"), test("EventLoop", "CLinuxIO", "CTLSPeer"), test("HTTP"),
        test("Delivery", "HTTP", "CCrypto"),
        test("CEL"), test("Journal"), test("Kubernetes", logging),
        test("Trigger", "Delivery", "Kubernetes", "Metrics", logging),
        test("Catalog", "Delivery"),
        test("Cluster", "Catalog", "Delivery", "Kubernetes", logging),
    ] + (isThreadSanitized ? [] : [server, serverTests])

let package = Package(
    name: "grapnel",
    products: (isThreadSanitized ? [] : [.executable(name: "grapnel", targets: ["Grapnel"])]) + [
        // What the Benchmarks package measures.
        .library(name: "GrapnelRooms", targets: ["Ring", "Metrics", "HTTP", "EventLoop", "Journal", "Delivery"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        // C and C++ shims: no policy, one library each.
        .target(name: "CLinuxIO", linkerSettings: [.linkedLibrary("uring")]),
        .target(
            name: "CCrypto",
            linkerSettings: [
                .linkedLibrary("ssl"), .linkedLibrary("crypto"), .linkedLibrary("IPSec_MB"), .linkedLibrary("z"),
            ]),
        .target(name: "CJSON", linkerSettings: [.linkedLibrary("simdjson")]),
        // The client's side of TLS, for tests alone.
        .target(
            name: "CTLSPeer", path: "Tests/Support/CTLSPeer",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),

        // The rooms, in the order a delivery passes them. Tests/imports.sh holds the imports to this.
        .target(name: "Metrics", swiftSettings: rules),
        .target(name: "Ring", swiftSettings: rules),
        .target(name: "EventLoop", dependencies: ["CLinuxIO", "CCrypto"], swiftSettings: rules),
        .target(name: "HTTP", swiftSettings: rules),
        .target(name: "CEL", swiftSettings: rules),
        .target(
            name: "Delivery",
            dependencies: ["HTTP", "CCrypto", "CJSON", "CEL", .product(name: "Yams", package: "Yams")],
            swiftSettings: rules),
        .target(name: "Journal", dependencies: ["CLinuxIO", "Metrics"], swiftSettings: rules),
        .target(
            name: "Kubernetes",
            dependencies: [
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Yams", package: "Yams"),
                logging,
            ], swiftSettings: rules),
        .target(
            name: "Trigger",
            dependencies: [
                "Ring", "Delivery", "Kubernetes", "Metrics",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                logging,
            ], swiftSettings: rules),
        .target(
            name: "Catalog",
            dependencies: ["Delivery", "CCrypto", "CLinuxIO", .product(name: "Yams", package: "Yams")],
            swiftSettings: rules),
        .target(name: "Cluster", dependencies: ["Kubernetes", "Catalog", "Delivery", logging], swiftSettings: rules),
    ] + tests,
    cxxLanguageStandard: .cxx17
)
