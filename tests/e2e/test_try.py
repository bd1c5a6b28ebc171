from tests.e2e.conftest import Home

def test_x(either: Home) -> None:
    one = either.crawl()
    print(one)
    position = one["log"]["position"]
    print(either.crawl())
    print(either.kinds(position))
    print(either.run("show","io.github.acme/tool-0001","--json"))
    print(either.run("status","--json"))
    print(either.run("verify","--json"))
    print(either.run("nothing"))
    print(either.run("crawl", "--nothing"))
    assert 0
