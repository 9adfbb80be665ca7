// swift-tools-version: 6.3
import PackageDescription

// A package of its own: who builds the server never resolves what only the load test needs.
let rules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "grapnel-loadtest",
    products: [.executable(name: "grapnel-load", targets: ["grapnel-load"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .target(name: "CLoad", linkerSettings: [.linkedLibrary("crypto")]),
        .target(
            name: "LoadKit",
            dependencies: ["CLoad", .product(name: "Histogram", package: "hdrhistogram-swift")],
            resources: [.embedInCode("Resources/github-push.json")],
            swiftSettings: rules),
        .executableTarget(
            name: "grapnel-load",
            dependencies: ["LoadKit", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: rules),
        .testTarget(
            name: "LoadKitTests",
            dependencies: ["LoadKit", .product(name: "Histogram", package: "hdrhistogram-swift")], swiftSettings: rules),
    ]
)
