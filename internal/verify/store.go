package verify

import (
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"tailwater/internal/config"
)

// storeClient makes a client of the window store, and says where that is.
func storeClient(s *config.WindowStore) (client goredis.UniversalClient, where string, err error) {
	protect, err := s.TLS.Config()
	if err != nil {
		return nil, "", &UnreachableError{"the window store cannot be reached", err}
	}
	switch {
	case s.Cluster != nil:
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: s.Cluster.Addresses, Username: s.User, Password: s.Password.Reveal(), TLSConfig: protect,
		}), strings.Join(s.Cluster.Addresses, ", "), nil
	case s.Sentinel != nil:
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			SentinelAddrs: s.Sentinel.Addresses, MasterName: s.Sentinel.Master,
			SentinelUsername: s.Sentinel.User, SentinelPassword: s.Sentinel.Password.Reveal(),
			Username: s.User, Password: s.Password.Reveal(), DB: s.DB, TLSConfig: protect,
		}), s.Sentinel.Master + " of the sentinels " + strings.Join(s.Sentinel.Addresses, ", "), nil
	}
	o, err := goredis.ParseURL(s.URL.Reveal())
	if err != nil {
		// The cause may quote the URL, which holds the password.
		return nil, "", &UnreachableError{What: "windows.store.url is no address of Redis"}
	}
	if protect != nil {
		o.TLSConfig = protect
	}
	return goredis.NewClient(o), o.Addr, nil
}
